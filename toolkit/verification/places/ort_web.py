"""ONNX Runtime Web, which is WebAssembly, in headless Chromium."""

from toolkit.verification.proving import InBrowser


class OrtWeb(InBrowser):
    """Runs our .onnx files in a page."""

    title = "ONNX Runtime Web"
    engine = "onnx"
