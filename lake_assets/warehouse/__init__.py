"""Staging, quarantine and marts where a target keeps them: one protocol, one folder for each target.

Imports `catalog`, `compile`, `settings`; no other adapter.
"""
