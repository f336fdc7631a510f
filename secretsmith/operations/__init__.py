"""One verb a file: plan, then apply."""
