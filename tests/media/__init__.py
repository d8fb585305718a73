"""Helpers of the tests: they make videos and photographs on the fly, and look at them."""
