"""Thin: parse, call one operation, render."""
