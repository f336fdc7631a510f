"""Secrets whose values are kept elsewhere, in pass for instance: linked, looked at without a key, fetched when they changed."""
