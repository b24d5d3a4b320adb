"""May this be spent: the caller's side of QuotaService.

What this process may spend without asking lies in accounts, one for each chain: leases of what
windows count, and places for requests at the same time.
"""
