"""The command line: argv in, words and exit codes out."""

from facepipe.cli.main import app, main

__all__ = ["app", "main"]
