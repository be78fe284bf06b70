"""Requests: read, checked, refused."""
