"""How figures are written for people."""

from collections.abc import Mapping
from typing import Any

NARROW = "\u202f"  # a narrow no-break space parts thousands, and a figure from its unit
SPELLED = {
    "cnn": "CNN", "mlp": "MLP", "onnx": "ONNX", "tflite": "TFLite", "csv": "CSV", "psi": "PSI",
    "pi": "Pi", "sha256": "SHA-256", "url": "URL", "svd": "SVD", "cp": "CP", "qat": "QAT",
    "mse": "MSE", "sqnr": "SQNR", "macs": "MACs", "ort": "ORT", "litert": "LiteRT",
    "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "tensorflow": "TensorFlow",
    "xgboost": "XGBoost", "lightgbm": "LightGBM", "wasm": "WASM",
}  # fmt: skip
"""Words that are not written like others."""
NAMES = {
    "kolmogorov_smirnov": "Kolmogorov-Smirnov", "size_bytes": "Size", "minmax": "Min/max",
    "qat": "Quantization-aware training", "sklearn": "scikit-learn",
    "torch_export": "PyTorch export", "torch_script": "TorchScript",
    "torch": "PyTorch", "torch_weights": "PyTorch weights",
    "litert_torch": "litert-torch",
    "litert_js": "LiteRT.js", "ort_web": "ONNX Runtime Web", "saved_model": "SavedModel",
}  # fmt: skip
MINUS = "\u2212"
NOTHING = "\u2013"  # an en dash: there is no figure


def count(value: float | None) -> str:
    """`1797` is "1 797"."""
    return NOTHING if value is None else f"{value:,.0f}".replace(",", NARROW)


def short(value: float | None) -> str:
    """A large count in three figures: `12501632` is "12.5 M"; below ten thousand as it is."""
    if value is None or abs(value) < 10_000:
        return count(value)
    for unit in ("k", "M", "G", "T"):
        value /= 1000
        if abs(value) < 999.5 or unit == "T":
            break
    return f"{value:.3g}{NARROW}{unit}"


def size(value: float | None) -> str:
    """Bytes in decimal units, three figures: `25312` is "25.3 kB"."""
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000 or unit == "GB":
            break
        value /= 1000
    digits = 0 if unit == "B" or abs(value) >= 100 else 1
    return f"{value:.{digits}f}{NARROW}{unit}"


def percent(value: float | None) -> str:
    """A share from 0 to 1: `0.9722` is "97.2 %"."""
    return NOTHING if value is None else f"{100 * value:.1f}{NARROW}%"


def points(value: float | None) -> str:
    """A difference of shares in points, with a minus sign: `0.0123` is "1.23"."""
    if value is None:
        return NOTHING
    shown = f"{100 * value:.2f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", MINUS)


def decibels(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}".replace("-", MINUS)


def celsius(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0f}{NARROW}°C"


def milliseconds(value: float | None) -> str:
    """`0.0312` is "0.031 ms"."""
    if value is None:
        return NOTHING
    return f"{value:.{2 if value < 1 else 3}g}{NARROW}ms"


def change(before: float | None, after: float | None) -> str:
    """What became of an amount: "69 % less"."""
    if not before or after is None:
        return ""
    share = 100 * (after / before - 1)
    if abs(share) < 0.5:
        return "unchanged"
    return f"{abs(share):.0f}{NARROW}% {'less' if share < 0 else 'more'}"


def number(value: float | None) -> str:
    """Three significant figures, no exponent where it can be helped."""
    if value is None:
        return NOTHING
    if value and not 1e-3 <= abs(value) < 1e9:
        return f"{value:.1e}"
    return count(value) if abs(value) >= 1000 else f"{value:.3g}"


def between(interval: Mapping[str, Any] | None) -> str:
    """A confidence interval of a share, in per cent."""
    if not interval or interval.get("low") is None or interval.get("high") is None:
        return ""
    return f"{100 * interval['low']:.1f} to {percent(interval['high'])}"


def words(name: str) -> str:
    """A field or member name for people: `quantize_int8` is "Quantize int8"."""
    if name in NAMES:
        return NAMES[name]
    parts = [SPELLED.get(word, word) for word in name.replace("_", " ").split()]
    spaced = " ".join(parts)
    return spaced if parts and parts[0] in SPELLED.values() else spaced[:1].upper() + spaced[1:]


def sentence(text: str) -> str:
    """`text` with a capital, unless it begins with a name such as `net-int8`."""
    first = text.partition(" ")[0].rstrip(":,;")
    return text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text


def moment(text: str) -> str:
    """An ISO 8601 time to the minute: "2026-11-21 03:12"."""
    return text[:16].replace("T", " ")
