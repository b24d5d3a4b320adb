"""What may be used: limits, whose they are, and how much a request takes of them."""
