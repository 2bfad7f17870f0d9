"""What an engine says of each request, for the access log that the management writes."""
