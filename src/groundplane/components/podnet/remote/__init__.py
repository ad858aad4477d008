"""A small program that runs on a node with its own Python: standard library only, told what to do by JSON on stdin.

It prints one line per question, ``KIND|TARGET|PROBLEM``, the problem empty where the answer was right.
"""
