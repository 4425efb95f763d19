"""Make a board a device: what it is, what it needs, and how that gets there over SSH."""
