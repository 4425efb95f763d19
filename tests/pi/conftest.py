"""Every test here has an emulated board at hand."""

from tests.pi.fixtures import pi, start_pi

__all__ = ["pi", "start_pi"]
