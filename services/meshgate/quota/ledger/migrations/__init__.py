"""The migrations of the ledger's database, oldest first. What was released is never changed."""
