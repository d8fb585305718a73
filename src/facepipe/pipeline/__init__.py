"""One file from end to end: checks, two passes, checkpoints, report."""
