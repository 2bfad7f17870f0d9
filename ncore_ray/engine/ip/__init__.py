"""ARP and ICMP of the engine."""
