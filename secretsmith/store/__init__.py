"""The only writer of files: atomic, journaled, locked."""
