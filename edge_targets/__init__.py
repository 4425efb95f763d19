"""The places a model goes to (catalog) and the code that runs there (agent, runtime)."""

import os

# onnxruntime 1.29 and later report to their maker on first import unless this says no
# (https://github.com/microsoft/onnxruntime/pull/27379); here before anything can import it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
