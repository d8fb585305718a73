"""Evaluation: quality of faces, parsing, tracking and whole videos against ground truth."""
