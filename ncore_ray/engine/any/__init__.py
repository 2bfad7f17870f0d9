"""VServers of protocol ANY: what is no TCP goes on to a service as it comes, and back."""
