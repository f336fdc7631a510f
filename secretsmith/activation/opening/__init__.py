"""Encrypted sources to values, and why they do not open."""
