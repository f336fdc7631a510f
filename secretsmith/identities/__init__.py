"""Where private keys come from, in a declared order, each place with what became of it."""
