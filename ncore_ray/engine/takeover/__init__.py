"""What the successor of an engine that died does before its first breath (docs/operations.md, "When something dies").

Connections that were not being changed go on as they are; those that were are reset. Everything derived from them is
made anew: hash index, timer wheel, work list, pools of idle connections, free frames, counts of what lives.
"""
