"""What upstreams charge: prices of tokens, and the cost of what was used, in integers only."""
