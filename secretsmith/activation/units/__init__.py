"""systemd units: telling them of changes, and the units that run activation."""
