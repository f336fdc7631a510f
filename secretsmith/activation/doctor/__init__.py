"""``secretsmith doctor``: the machine around the secrets."""
