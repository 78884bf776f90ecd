"""Example events, and the tour that `lake demo` makes.

An edge: only `cli` imports it.
"""
