"""The parameters of every command: one dataclass a command, one module a family."""
