"""Where a device's own inputs come from, and where its answers go."""
