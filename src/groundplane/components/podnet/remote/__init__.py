"""Small programs that run on a node with its own Python: standard library only."""
