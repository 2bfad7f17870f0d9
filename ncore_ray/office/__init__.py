"""What passes from one management to the next, in the arena: the lease, the notebook, the journal of events."""
