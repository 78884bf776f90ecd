"""OpenLineage: the lake's graph and its finished runs as events, in files and to a server of HTTP."""
