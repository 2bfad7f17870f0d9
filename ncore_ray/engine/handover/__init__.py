"""Flows frozen into plain bytes, and thawed in another engine's partition (docs/operations.md, "Handing a flow over").

A flow is a connection with its peer, if it has one: all that the engine knows of both, and the bytes that it holds. The
bytes of a frozen flow name no place in an arena, so they may be thawed by any engine with the same tables, at any time.
"""
