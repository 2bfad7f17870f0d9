"""Splicing: a client's connection and one to a service that are one TCP connection between these two hosts.

Nothing ends here: addresses, ports, sequence and acknowledgment numbers, SACK blocks and timestamps are translated, and
the packet goes on out of the frame that it came in. What is lost the ends repair. The engine keeps what it needs to
choose a service, to translate, to tell forged segments, and to know when a pair is over.
"""
