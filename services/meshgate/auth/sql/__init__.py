"""The records of auth in SQL: SQLite or PostgreSQL. All that knows of SQLAlchemy is in here."""
