"""Templates: texts with values in them, made and checked."""
