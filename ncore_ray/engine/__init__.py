"""The packet engine: its own TCP/IP stack, proxies, load balancing; one per core, all of it kernels over the arena."""
