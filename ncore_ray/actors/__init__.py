"""The Ray actors: thin shells around the loops of the data plane, and the management core."""
