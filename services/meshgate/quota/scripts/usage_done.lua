#!lua flags=allow-oom
-- Drops entries of a shard's usage stream that the ledger has.
--
-- KEYS: as all scripts have them; only the usage stream is looked at.
-- ARGV: the ids of the entries.

redis.pcall('XACK', KEYS[2], 'ledger', unpack(ARGV))
return redis.call('XDEL', KEYS[2], unpack(ARGV))
