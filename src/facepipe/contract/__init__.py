"""What programs that drive facepipe rely on: the forms of results, errors and events."""
