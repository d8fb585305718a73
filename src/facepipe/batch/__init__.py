"""Batches of many videos and images: find them, enhance them, and report on each."""
