"""Contracts and metrics: YAML to frozen `Asset` and `Metric`, rules about them, inference, compatibility.

Pure: no I/O, no SDK. Imports nothing of the project but `errors`.
"""
