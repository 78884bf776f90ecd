"""Example events, and the tour of `lake demo`.

An edge: only `cli` imports it.
"""
