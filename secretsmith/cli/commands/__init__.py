"""One command a file: what its arguments do."""
