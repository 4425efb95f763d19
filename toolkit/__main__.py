"""Run as `python -m toolkit`, or as `sanderling`."""

import sys


def run() -> int:
    """The command line, from the first import on: Ctrl-C is an answer there, too."""
    try:
        from toolkit.cli import main

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\nNothing was begun.\n")
        return 130


if __name__ == "__main__":
    sys.exit(run())
