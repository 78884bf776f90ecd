"""A contract or metric to an artefact, one small module each: SQL, DDL, topic, connector, dbt source, grants.

Pure: no I/O, no SDK. Imports `catalog`.
"""
