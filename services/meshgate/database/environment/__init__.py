"""What Alembic runs to migrate a database, whosever it is."""
