"""NICs: drivers, fault injector, tracer, the reader and the writer of each NIC, and how engines send by themselves."""
