"""Run a stream on a device: `python -m edge_targets.streams --root FOLDER CONFIG.toml`.

The root folder keeps telemetry, as an agent's does: `settings.json` names the device and the
collector. SIGTERM and SIGINT end it; the last window is on the disk then. With `--list` the
sources, the sinks and their parameters are told.
"""

import argparse
import dataclasses
import json
import logging
import signal
import sys
from pathlib import Path

from edge_targets.runtime.errors import EdgeError
from edge_targets.runtime.predictor import Predictor
from edge_targets.streams.loop import Loop, Thermometer
from edge_targets.streams.settings import read_stream
from edge_targets.streams.sinks import sinks
from edge_targets.streams.sources import sources


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_targets.streams", description=__doc__)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(words)
    if options.list:
        sys.stdout.write(catalogue())
        return 0
    if options.config is None:
        parser.error("a TOML file is needed")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        stream = read_stream(options.config, options.root)
        hot = Thermometer(stream.pace.too_hot_c)
        with Predictor(stream.model, home=options.root) as predictor:
            loop = Loop(stream.source, predictor, stream.sinks, stream.pace, hot)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: loop.stop())
            counts = loop.run()
    except EdgeError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    lost = sum(outlet.lost for outlet in loop.outlets)
    sys.stderr.write(json.dumps({**dataclasses.asdict(counts), "lost": lost}) + "\n")
    return 0


def catalogue() -> str:
    """Every member with its parameters, for a person."""
    rows = []
    for title, members in (("source", sources), ("sink", sinks)):
        for name in members.names():
            member = members[name]
            rows.append(f"{title} {name}: {(member.__doc__ or '').splitlines()[0]}")
            for one in dataclasses.fields(member):
                needed = one.default is dataclasses.MISSING
                value = "needed" if needed else repr(one.default)
                rows.append(f"    {one.name} = {value}  {one.metadata['description']}")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
