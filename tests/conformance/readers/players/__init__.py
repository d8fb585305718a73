"""Players in processes of their own: scripts that print what they see as JSON."""
