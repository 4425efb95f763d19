"""The places a model goes to (catalog) and the code that runs there (agent, runtime)."""
