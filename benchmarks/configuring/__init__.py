"""The pieces of benchmarks/configure.py: the work, the machines it is done on, and the tools that do it."""
