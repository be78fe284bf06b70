"""Crashes on purpose: kill -9, signals, two runners, power loss; judged by the fault server's journal and the ledger."""
