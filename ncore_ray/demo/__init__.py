"""The demonstration: an appliance between a client host and three servers, under load, and the proof that it worked."""
