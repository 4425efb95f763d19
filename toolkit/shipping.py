"""From a proven file to devices and back: package, deploy, watch, on a workspace."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_targets.catalog import targets
from edge_targets.package import SigningKey, public_key, signing_key
from edge_targets.places.target import Place, Target
from edge_targets.runtime.contract import Profile
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import (
    DeviceError,
    RecipeError,
    UnknownNameError,
    UnsupportedError,
)
from edge_targets.runtime.events import Job
from toolkit import secrets, shelf
from toolkit.built import artifact_of, refuse_unproven
from toolkit.certificates import CERTIFICATE, certificate_of
from toolkit.evaluation.gate import Gate
from toolkit.gating import SMALLER, judged, original_of
from toolkit.packaging import Contents, card, write_package
from toolkit.results import Deployed, Packaged
from toolkit.telemetry.store import Store
from toolkit.watch import Drift, Fleet, check_alpha
from toolkit.watch import watch as compare
from toolkit.workspace import Entry, Workspace, check_name

SUFFIX = ".sndl"
MAX_HOURS = 24 * 365 * 10
UNLEARNED = {"package", *SMALLER}  # verbs that keep what a model has learned


def package(
    shelves: Workspace,
    subject: str,
    target_name: str,
    name: str | None,
    serve_as: str | None,
    job: Job,
    reference: str | None = None,
    gate: Gate | None = None,
    slices: Sequence[str] = (),
    abstain: float | None = None,
) -> Packaged:
    target = targets[target_name]
    artifact = artifact_of(shelves, subject, target)
    name = check_name(name or f"{artifact.name}-{target_name}".replace("_", "-"))
    refuse_unproven(artifact)
    model = shelves.entry(artifact.parents[0])
    served = check_name(serve_as or model.name)
    data = shelf.data_of(shelves, artifact)
    if reference:
        data = (shelves.get("datasets", reference),)
    if not data:
        raise UnsupportedError(
            f"{artifact.name} has no data to take a reference profile from.",
            f"Name one with --reference; or import {model.name} with --data, and build it again.",
        )
    signature = shelf.signature_of(artifact)
    world = shelf.fitting(
        signature, shelf.load_dataset(shelves, data[0]), None, judged=gate is not None
    )
    verdict = judged(shelves, artifact, world, gate, slices, job) if gate else None
    if verdict and not verdict.passed:
        diagnose = f"sanderling diagnose {original_of(shelves, artifact).name} --data {world.name}"
        return Packaged(name, "", target_name, "", 0, "", verdict, next=(diagnose,))
    [file] = artifact.files
    facts = artifact.facts
    lineage = [f"{e.verb}: {e.name} ({e.kind[:-1]})" for _, e in shelves.lineage(artifact)]
    proof = facts["parity"]
    certificate = certificate_of(shelves, model)
    told = {
        "format": facts["format"],
        "size": f"{facts['size_bytes']:,} bytes",
        "computes in": "int8" if facts["quantized"] else "float32",
        "same labels as its model": str(proof["label_agreement"]),
        "largest difference to its model": f"{proof['max_difference']:.3g}",
        "compared on": f"{proof['samples']} items",
        **({"gate": verdict.reason} if verdict else {}),
        **({"certificate": "; ".join(certificate.facts["places"])} if certificate else {}),
    }
    contents = Contents(
        served,
        facts["format"],
        shelves.read(artifact, file),
        signature,
        target_name,
        facts["quantized"],
        artifact.digest,
        card(served, told, signature, lineage),
        shelves.read(certificate, CERTIFICATE) if certificate else b"",
    )
    key = signing_key_of(shelves)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}{SUFFIX}"
        manifest = write_package(contents, world, key, path, job, abstain)
        packed = path.read_bytes()
    target().fits(manifest, len(packed))
    described = {
        "target": target_name,
        "served_as": served,
        "version": manifest.version,
        "size_bytes": len(packed),
        "key_id": key.key_id,
    }
    entry = shelves.put(
        "packages", name, {f"{name}{SUFFIX}": packed}, described, "package",
        {"target": target_name, "serve_as": served}, (artifact,),
    )  # fmt: skip
    goes_on = f"sanderling bundle {name} DIR" if target_name == "browser" else ""
    return Packaged(
        name,
        str(shelves.file(entry, f"{name}{SUFFIX}")),
        target_name,
        manifest.version,
        len(packed),
        key.key_id,
        verdict,
        next=(goes_on or f"sanderling deploy {name} DEVICE",),
    )


def signing_key_of(shelves: Workspace) -> SigningKey:
    with storing(shelves.key_file.parent):
        shelves.key_file.parent.mkdir(mode=0o700, exist_ok=True)
    return signing_key(shelves.key_file)


def place_of(shelves: Workspace, device: Entry, *trusted: str) -> tuple[Target, Place]:
    """Where a device is; `trusted` are public keys, which only a deployment needs."""
    collector, keys = shelves.settings.collector, shelves.key_file.parent
    password = secrets.password(ask=False)
    place = Place(device.name, device.facts["address"], collector, trusted, keys, password)
    return targets[device.facts["target"]](), place


def package_file(shelves: Workspace, entry: Entry, folder: str) -> Path:
    """The package under its own name, for a target that reads a file."""
    [name] = entry.files
    path = Path(folder) / name
    path.write_bytes(shelves.read(entry, name))
    return path


def deploy(shelves: Workspace, package_name: str, device_name: str, job: Job) -> Deployed:
    packed = shelves.get("packages", package_name)
    device = shelves.get("devices", device_name)
    target, place = place_of(shelves, device, public_key(signing_key_of(shelves)))
    if packed.facts["target"] != device.facts["target"]:
        raise UnsupportedError(
            f"{package_name} is for {packed.facts['target']}; {device_name} is a "
            f"{device.facts['target']}.",
            f"Package the artifact again with --target {device.facts['target']}.",
        )
    with tempfile.TemporaryDirectory() as folder:
        done = target.deploy(package_file(shelves, packed, folder), place, job)
    facts = {**device.facts, "package": package_name, "version": done.version}
    parents = (packed, *others(shelves, device, packed.facts["served_as"]))
    shelves.put("devices", device_name, {}, facts, "deploy", {"package": package_name}, parents)
    return Deployed(
        device_name,
        package_name,
        done.version,
        "" if target.enrols(place.address) else done.url,  # a forwarded port ends with us
        done.golden_difference,
        next=(f"sanderling device status {device_name}", "sanderling collect"),
    )


def others(shelves: Workspace, device: Entry, served: str) -> tuple[Entry, ...]:
    """The packages of a device but for the one that is served by that name."""
    known = [shelves.entry(digest) for digest in device.parents]
    return tuple(packed for packed in known if packed.facts.get("served_as") != served)


def watch(shelves: Workspace, name: str, hours: float, alpha: float, job: Job) -> Drift:
    check_alpha(alpha)
    if not 0 < hours <= MAX_HOURS:
        raise RecipeError(f"{hours:g} hours are no time to look back.", "Try --hours 24.")
    since = datetime.now(UTC) - timedelta(hours=hours)
    store = Store(shelves.telemetry)
    known = packages_by_version(shelves)
    packages = those_named(shelves, known, name)
    served = sorted({served for served, _ in packages})
    job.step("read telemetry", 0, 2)
    seen = {(model, *ran) for model in served for ran in store.versions(model, since)}
    if not seen:
        raise DeviceError(
            f"No device has reported on {name} in the last {hours:g} hours.",
            "Is `sanderling collect` running? `sanderling device list` tells what devices still "
            "hold.",
        )
    reported = {(model, version) for model, _, version in seen}
    fleets = [
        Fleet(version, reference_of(shelves, packed), store.profiles(model, version, since))
        for (model, version), packed in packages.items()
        if (model, version) in reported
    ]
    job.step("compare profiles", 1, 2)
    report = compare(fleets, alpha=alpha, model=", ".join(served))
    strange = sorted({device for model, device, ran in seen if (model, ran) not in known})
    if strange:
        note = f"Of versions without a package here, not compared: {', '.join(strange)}."
        report = replace(report, note=f"{report.note} {note}".strip())
    told = [store.feedback(model, since).sentence for model in served]
    job.step("compare profiles", 2, 2)
    return replace(report, feedback=" ".join(sentence for sentence in told if sentence))


Packages = dict[tuple[str, str], Entry]  # by served name and version


def packages_by_version(shelves: Workspace) -> Packages:
    """Every package that a device may run; of two with the same model the newer one."""
    known = {entry.digest: entry for entry in shelves.entries("packages")}
    for device in shelves.entries("devices"):
        # it runs its package even when that name has been given to another one since
        made_from = [shelves.entry(digest) for digest in device.parents]
        known |= {entry.digest: entry for entry in made_from if entry.kind == "packages"}
    in_order = sorted(known.values(), key=lambda entry: entry.created)
    return {(packed.facts["served_as"], packed.facts["version"]): packed for packed in in_order}


def those_named(shelves: Workspace, packages: Packages, name: str) -> Packages:
    """Packages of that name, of that model or served as that."""
    found = {
        key: packed
        for key, packed in packages.items()
        if name in {packed.name, packed.facts["served_as"], *models_in(shelves, packed)}
    }
    if not found:
        raise UnknownNameError("packaged model", name, sorted({served for served, _ in packages}))
    return found


def models_in(shelves: Workspace, packed: Entry) -> Iterator[str]:
    """The packaged model and those it was compressed from, back to one that learned."""
    made = packed
    while made.verb in UNLEARNED:
        made = shelves.entry(made.parents[0])
        if made.kind == "models":
            yield made.name


def reference_of(shelves: Workspace, packed: Entry) -> Profile:
    import io
    import zipfile

    [file] = packed.files
    with zipfile.ZipFile(io.BytesIO(shelves.read(packed, file))) as archive:
        return Profile.parse(archive.read("profile.json"))
