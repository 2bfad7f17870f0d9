"""The flow distributor: which packet engine a packet goes to, and the memory of it."""
