"""Answers of every kind, recorded and mutated, through the conversation, ingest and the ledger."""
