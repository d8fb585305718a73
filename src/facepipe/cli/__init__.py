"""The command line: argv in, words and exit codes out."""
