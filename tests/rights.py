"""To act as somebody who may neither read nor write what a test has made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """This process is the user `nobody` while the block runs; import what it needs before."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
