"""An appliance: the actors that a configuration names, built and taken down."""
