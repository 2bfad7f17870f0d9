"""Load balancing: which service gets the next connection or request."""
