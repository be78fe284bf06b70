"""Faults: kinds and choice, spoilt content, misbehaving connections."""
