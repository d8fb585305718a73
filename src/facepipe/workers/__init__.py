"""Executors: run pure task functions in this process, in local processes, or on a Ray cluster."""
