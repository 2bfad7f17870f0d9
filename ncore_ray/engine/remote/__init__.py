"""Virtual connections: a client whose TCP one engine terminates is served by another engine's application."""
