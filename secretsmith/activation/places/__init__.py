"""Custom paths: links and copies where programs look for them."""
