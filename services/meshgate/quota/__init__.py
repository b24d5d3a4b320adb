"""quota answers whether this may be spent now, and books what was spent.

It does not know who calls (`auth` tells the subjects and their limits) nor what anything costs.
"""
