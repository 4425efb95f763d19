"""What importers of graphs share: from somebody's ONNX graph to one of ours.

`opened.taken_over` is the road; each other module is one stretch of it.
"""
