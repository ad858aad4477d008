"""Runs on a machine: observes it, finds what differs from its desired state, carries the difference out, and says so
line by line. Standard library only, Python 3.10 or newer; what of ``state/`` it imports travels with it.

Whatever it touches lies below a root folder, and every program it runs passes one runner, so tests give it both.
"""
