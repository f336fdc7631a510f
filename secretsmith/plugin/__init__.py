"""What outsiders import: :mod:`secretsmith.plugin.api`. The loader finds and checks what they made."""
