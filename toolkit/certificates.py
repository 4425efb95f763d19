"""Certificates in the workspace: the newest of each model, under its name."""

import json

from toolkit.report import plain
from toolkit.results import Certificate
from toolkit.workspace import Entry, Workspace

KIND = "certificates"
CERTIFICATE = "certificate.json"


def keep(shelves: Workspace, certificate: Certificate, parents: tuple[Entry, ...]) -> Entry:
    """Store it beside the model it is of."""
    text = json.dumps(plain(certificate), indent=1, sort_keys=True, allow_nan=False) + "\n"
    told = {
        "ok": certificate.ok,
        "reference": certificate.reference,
        "places": [f"{row.place}: {row.state}" for row in certificate.witnesses],
    }
    files = {CERTIFICATE: text.encode()}
    return shelves.put(KIND, certificate.model, files, told, "verify", {}, parents)


def certificate_of(shelves: Workspace, model: Entry) -> Entry | None:
    """The newest certificate of this very model; none where the name stands for another one now."""
    if model.name not in shelves.names(KIND):
        return None
    found = shelves.get(KIND, model.name)
    return found if found.parents[:1] == (model.digest,) else None
