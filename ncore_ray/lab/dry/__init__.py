"""Parts of an appliance without NICs, processes or namespaces, for tests and benchmarks: packets in, packets out."""
