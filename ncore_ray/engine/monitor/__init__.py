"""Monitors: probes of the services through the appliance's own stack, and what they conclude."""
