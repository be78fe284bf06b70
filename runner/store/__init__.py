"""What is kept in OUT: the ledger, the images, the results table, and the lock."""
