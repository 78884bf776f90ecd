"""Boards in a company's Metabase: collections, questions, dashboards and permissions, by its REST API.

`differences` and `permissions` are pure: from what is there and what should be they make the bodies of requests.
"""
