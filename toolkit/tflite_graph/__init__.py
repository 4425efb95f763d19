"""TensorFlow Lite files read into ONNX graphs."""
