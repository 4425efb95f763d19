"""The work: data, training, compression, compiling, measuring, telemetry, drift."""
