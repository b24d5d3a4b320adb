"""The migrations of auth's database, oldest first. What was released is never changed."""
