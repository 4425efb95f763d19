"""How a board becomes a device: what is on it, what it needs, and the installer that runs there."""
