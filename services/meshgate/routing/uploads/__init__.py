"""Files that callers bring: read as they come, and kept in a file without a name."""
