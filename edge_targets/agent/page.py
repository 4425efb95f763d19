"""The status page at `/`: one HTML text without scripts, for whoever stands before the device.

Everything that comes from a package or a network is escaped; the policy lets the page load nothing.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

REFRESH_S = 10
POLICY = (
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"
)
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885 }
td { overflow-wrap: anywhere }
th { font-weight: 600 } .state { font-weight: 600 }
"""
MIB = 1 << 20


def render(status: Mapping[str, Any]) -> str:
    """The page of what GET /v1/status answers."""
    device = text(status.get("device", ""))
    models = [entry for entry in status.get("models") or [] if isinstance(entry, Mapping)]
    parts = [
        f"<h1>{device}: <span class=state>{text(status.get('state', ''))}</span></h1>",
        "<h2>Models</h2>",
        table(("Model", "Version", "Format", "State"), map(model_row, models))
        if models
        else "<p>No model is served yet. Deploy a package to this device.</p>",
        "<h2>Device</h2>",
        table((), device_rows(status)),
    ]
    if isinstance(last := status.get("last_update"), Mapping):
        parts += ["<h2>Last update</h2>", table((), ((name, last[name]) for name in last))]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{device}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def model_row(model: Mapping[str, Any]) -> tuple[Any, ...]:
    probation = model.get("probation")
    state = "kept"
    if isinstance(probation, Mapping):
        state = f"on probation, {probation.get('left_s', '?')} s left"
    if model.get("previous"):
        state += f"; before: {model['previous']}"
    return model.get("name", ""), model.get("version", ""), model.get("format", ""), state


def device_rows(status: Mapping[str, Any]) -> list[tuple[str, Any]]:
    health = status.get("health") or {}
    rows = [
        ("Predictions", status.get("samples")),
        ("Records that wait", status.get("pending")),
        ("Running for", seconds(status.get("uptime_s"))),
        ("Temperature", unit(health.get("temperature_c"), "°C")),
        ("Load", health.get("load")),
        ("Memory free", mebibytes(health.get("memory_available_bytes"))),
        ("Disk free", mebibytes(health.get("disk_free_bytes"))),
        ("Slowed down by", listed(status.get("throttled"))),
    ]
    return [(name, value) for name, value in rows if value not in (None, "")]


def table(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th scope=col>{text(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{text(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"


def text(value: Any) -> str:
    return escape(f"{value:.2f}" if isinstance(value, float) else str(value))


def listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def unit(value: Any, name: str) -> str:
    return f"{value:.1f} {name}" if isinstance(value, int | float) else ""


def mebibytes(value: Any) -> str:
    return f"{value / MIB:,.0f} MiB" if isinstance(value, int | float) else ""


def seconds(value: Any) -> str:
    if not isinstance(value, int | float):
        return ""
    minutes, left = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"
