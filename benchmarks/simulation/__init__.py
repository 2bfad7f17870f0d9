"""A deterministic network: the packet engine's own kernels under a virtual clock, on paths of every kind."""
