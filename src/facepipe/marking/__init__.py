"""The marks of a network's work: XMP, signed manifests (C2PA), and a chained log."""
