"""Staging, quarantine and marts on each target: one protocol, one folder for each target.

Imports `catalog`, `compile`, `settings`; no other adapter.
"""
