"""The host side: a manifest becomes files in RAM."""
