"""Stress tests: runs that are killed, interrupted, or fed with corrupt files."""
