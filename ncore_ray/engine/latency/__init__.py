"""How long clients wait for a response: for its first byte, and for its last."""
