"""Compile a contract or metric into artefacts, one small module each: SQL, DDL, topic, connector, dbt source, grants.

Pure: no I/O, no SDK. Imports `catalog`.
"""
