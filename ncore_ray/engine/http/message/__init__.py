"""HTTP/1.x messages (RFC 9110, RFC 9112): heads parsed, judged and rewritten, bodies followed as they stream by.

Sans-IO: every kernel takes bytes at an address and small records, and tells what it found. Nothing that the RFCs call
ambiguous is passed on: a message that two programs could read in two ways is refused.
"""
