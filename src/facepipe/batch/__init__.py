"""Many films and pictures at once: what there is, what is done, and what became of each."""
