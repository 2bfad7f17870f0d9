"""How long clients wait for the first byte of a response."""
