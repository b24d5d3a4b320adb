"""The caller's side of each service that routing calls."""
