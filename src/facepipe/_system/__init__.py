"""The system under facepipe: files, their kinds, locks, child processes, time."""
