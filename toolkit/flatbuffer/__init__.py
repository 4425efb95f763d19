"""ONNX graphs to TensorFlow Lite files, written directly with the format's own schema."""
