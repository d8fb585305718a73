"""Videos of every kind through the whole program, each property held against the source."""
