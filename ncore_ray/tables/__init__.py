"""Tables that all actors of an appliance share: NICs, addresses, routes, neighbours, ports, vServers, services."""
