"""LiteRT.js, which is WebAssembly, in headless Chromium."""

from toolkit.verification.proving import InBrowser


class LiteRTJs(InBrowser):
    """Runs our .tflite files in a page."""

    title = "LiteRT.js"
    engine = "tflite"
