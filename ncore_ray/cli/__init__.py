"""The `ncore` command, one file per group of sub-commands."""
