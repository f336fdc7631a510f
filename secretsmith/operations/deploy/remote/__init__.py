"""The part of a deploy that runs on the host, as root. Its text goes over ssh: only Python's own library, and each other.

The host's own checks do not trust what lies there from before, nor the connection to hold: what is half received is never used.
"""
