"""What runs on a device beyond the runtime: it takes packages, answers, and reports home."""
