"""Packet formats, one file per protocol: checked views of headers, and their construction. No state."""
