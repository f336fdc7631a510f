"""secretsmith: secrets in git for people with their own servers."""

__version__ = "0.1.0"

__all__ = ["__version__"]
