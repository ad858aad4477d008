"""A small program that runs on a control plane with its own Python: standard library only."""
