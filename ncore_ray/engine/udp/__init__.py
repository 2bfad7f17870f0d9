"""UDP vServers: sessions between a client and a service, ended by silence."""
