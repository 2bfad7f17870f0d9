"""The access log, written by the management from what the engines note of each request."""
