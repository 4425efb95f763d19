"""From a sensor through the model to whoever waits for the answer, on a device: no server needed.

`sources` and `sinks` are folders of members, a file a member; `loop` joins one source, the
Predictor and any number of sinks; `python -m edge_targets.streams` runs what a TOML file says.
"""
