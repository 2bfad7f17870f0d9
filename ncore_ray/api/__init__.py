"""The REST API: what the commands do, over HTTP, on localhost."""
