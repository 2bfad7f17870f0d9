"""Proxying of byte streams: two connections whose received bytes become each other's sent bytes."""
