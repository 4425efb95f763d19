"""The code that runs on a device and in a browser: the standard library, nothing else."""
