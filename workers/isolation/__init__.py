"""Running untrusted models: a confined child process, and the way its results are read back.

Nothing is imported here: `enter.py` imports this package in the child's first moments.
"""
