"""Bugs planted on purpose, one at a time, in a copy of the checkout: each must be caught by some test."""
