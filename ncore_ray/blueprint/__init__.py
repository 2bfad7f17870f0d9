"""From a configuration to an arena: how large everything is, where it lies, and what stands in the tables at first."""
