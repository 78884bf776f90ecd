"""Athena over Glue and Lake Formation."""
