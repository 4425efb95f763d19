"""What pages of other sites may bring telemetry with."""

from dataclasses import dataclass

from toolkit.report import Result


@dataclass(frozen=True)
class TokenRow:
    """The token in a package's bundles, which lets in what visitors saw of one model."""

    package: str
    model: str
    token: str


@dataclass(frozen=True)
class TokenList(Result):
    """All tokens that a collector of this workspace takes."""

    tokens: tuple[TokenRow, ...]
