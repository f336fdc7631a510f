"""``secretsmith status``: what is on the host against what should be."""
