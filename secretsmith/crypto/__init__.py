"""Bytes in, bytes out: age files, OpenSSH keys, the recipient forms of a key. No paths, no terminal."""
