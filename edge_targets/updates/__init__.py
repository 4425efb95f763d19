"""Updates over the air: the signed repository devices pull from, and deltas between versions."""
