"""What goes into a bundle beside the package, checked before any work."""

import re
from dataclasses import dataclass
from pathlib import Path

from edge_targets.bundling.hosting import origin_of
from edge_targets.runtime.errors import UsageError

AFTER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
TOKEN = re.compile(r"[A-Za-z0-9._~-]{0,200}")
MAX_NOTICE = 500  # characters: it is a line on the page


@dataclass(frozen=True)
class Options:
    """What goes into a bundle beside the package.

    Attributes:
        lite: without Python; answers are named by the page itself.
        accelerate: with the engines for several threads and for WebGPU, to be tried on the page.
        wheels: files of packages for its Python.
        after: `module:function` in one of them that has the last word on answers.
        collector: address of the collector; empty where the page's own host takes telemetry.
        token: that the collector asks for.
        notice: what visitors are told before they agree; empty for our own words.
    """

    lite: bool = False
    accelerate: bool = False
    wheels: tuple[Path, ...] = ()
    after: str = ""
    collector: str = ""
    token: str = ""
    notice: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError: an option that cannot be, or not with the others."""
        if self.lite and (self.wheels or self.after):
            raise UsageError(
                "Without Python no code of yours can run.", "Leave out --lite, or the others."
            )
        if self.after and not AFTER.fullmatch(self.after):
            raise UsageError(
                f"{self.after!r} names no function of a module.", "Write it like package.module:fix"
            )
        if not TOKEN.fullmatch(self.token):
            raise UsageError("A token has letters, digits and . _ ~ - only.", "Make another one.")
        if len(self.notice) > MAX_NOTICE or not self.notice.isprintable():
            raise UsageError(
                f"The notice is no line of up to {MAX_NOTICE} characters.", "Make it shorter."
            )
        if self.collector:
            origin_of(self.collector)

    @property
    def origins(self) -> tuple[str, ...]:
        """That the page may send to beside its own."""
        return (origin_of(self.collector),) if self.collector else ()


USUAL = Options()
