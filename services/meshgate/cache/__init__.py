"""The cache service: has this been answered already?

It keeps answers by fingerprints, and knows neither requests nor dialects: what makes two requests
the same, and what may be kept, is routing's to say.
"""
