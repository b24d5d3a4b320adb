"""Databases of services: bounded connections to SQLite or PostgreSQL, and their migrations."""
