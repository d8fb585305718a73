"""Hostile input: harnesses for a fuzzer, whose seeds run as tests."""
