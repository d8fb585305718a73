"""Helpers of the tests: they make films and photographs on the fly, and look at them."""
