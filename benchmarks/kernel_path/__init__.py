"""The appliance's TCP beside the Linux kernel's, in one run over the same emulated path."""
