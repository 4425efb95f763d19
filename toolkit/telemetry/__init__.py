"""What devices report: received, kept once, and merged again."""
