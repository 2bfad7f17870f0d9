"""The arena: one shared-memory array that holds every frame, ring, table and connection of an appliance."""
