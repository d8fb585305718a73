"""Signed manifests of C2PA: made and read with c2pa-python, which lives here alone.

A manifest is bound to the bytes of its file. It says what was done to them, by which program, and
of which source they were made. It stands in the file where its format has a place for one, and in a
file of its own beside it elsewhere. Nothing is asked of a network: no time stamp, no revocation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

from facepipe.errors import MediaError, UsageError
from facepipe.marking.credentials import Credentials
from facepipe.marking.xmp import SOURCE_TYPE

#: What the name of a manifest's own file has more than that of the file it belongs to.
MANIFEST_SUFFIX = ".c2pa"
#: The assertion that names the report beside the output, and the source, by their SHA-256.
REPORT_ASSERTION = "org.facepipe.report"
_EMBEDDED = {
    **dict.fromkeys((".mp4", ".m4v"), "video/mp4"),
    ".mov": "video/quicktime",
    **dict.fromkeys((".jpg", ".jpeg", ".jfif", ".jpe", ".mpo"), "image/jpeg"),
    ".png": "image/png",
    ".webp": "image/webp",
    **dict.fromkeys((".tif", ".tiff"), "image/tiff"),
    ".avif": "image/avif",
    **dict.fromkeys((".heic", ".heif"), "image/heic"),
}
_ANY = "application/octet-stream"
_UNTRUSTED = "signingCredential.untrusted"
_SETTINGS: dict[str, Any] = {
    "builder": {
        "thumbnail": {"enabled": False},
        "actions": {
            "auto_placed_action": {"enabled": False},
            "auto_opened_action": {"enabled": True},
        },
    },
    "verify": {"verify_after_sign": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
}
#: A picture of one pixel, to try a signature on.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)


@dataclass(frozen=True)
class Claim:
    """What a manifest says of an output, in facepipe's name."""

    title: str  # name of the output
    version: str  # of facepipe
    note: str
    source_name: str
    source_sha256: str
    report_sha256: str  # of the report's content, as `pipeline.report_seal` takes it


@dataclass(frozen=True)
class ManifestCheck:
    """What a reader says of a manifest.

    `state`: "trusted" (intact, and signed by somebody on a list of trust), "valid" (intact; nobody
    here knows who signed), "invalid", with the `failures` as C2PA names them. `report_sha256` and
    `source_sha256` are facepipe's own words in it, None in one of another program.
    """

    state: Literal["trusted", "valid", "invalid"]
    failures: tuple[str, ...] = ()
    signer: str | None = None
    source_types: tuple[str, ...] = ()
    report_sha256: str | None = None
    source_sha256: str | None = None
    generator: str | None = None
    parents: tuple[str, ...] = field(default=())


def is_embeddable(name: str) -> bool:
    """Whether a file of that name has a place for a manifest."""
    return Path(name).suffix.lower() in _EMBEDDED


def manifest_path(target: Path) -> Path:
    """Where the manifest of `target` lies that has no place for one."""
    return target.with_name(f"{target.name}{MANIFEST_SUFFIX}")


def check_signing(credentials: Credentials) -> None:
    """Sign a picture of one pixel, to find out before the work whether a signature can be made.

    Raises UsageError where C2PA refuses the certificates.
    """
    claim = Claim("trial.png", "0", "", "trial.png", "", "")
    try:
        _sign(credentials, claim, "image/png", BytesIO(_PIXEL), BytesIO(_PIXEL), BytesIO())
    except _c2pa().C2paError as error:
        raise UsageError(f"--sign-cert: C2PA does not take it: {_words(error)}") from error


def sign(
    made: BinaryIO,
    signed: BinaryIO,
    credentials: Credentials,
    claim: Claim,
    *,
    source: BinaryIO,
    embed: bool,
) -> bytes | None:
    """Sign the file `made`; both are open, `signed` to be read and written.

    With `embed`, `signed` becomes the file with its manifest, and the result is None; else the
    result is the manifest, and `signed` stays empty. A manifest that the `source` has goes along in
    it. Raises MediaError where the file is not one that can be signed.
    """
    kind = _EMBEDDED.get(Path(claim.title).suffix.lower(), _ANY) if embed else _ANY
    try:
        if embed:
            _sign(credentials, claim, kind, source, made, signed)
            return None
        return _sign(credentials, claim, kind, source, made, BytesIO(), embed=False)
    except _c2pa().C2paError as error:
        raise MediaError(f"{claim.title}: C2PA cannot sign it: {_words(error)}") from error


def read_manifest(
    file: BinaryIO, name: str, manifest: bytes | None = None, *, trust: bytes | None = None
) -> ManifestCheck | None:
    """Check a file against its manifest: `manifest`, or the one in it; None where it has none.

    `trust` is PEM of the certificates whose signatures are trusted. What cannot be read as a
    manifest is "invalid". ModuleNotFoundError: without facepipe[c2pa].
    """
    c2pa = _c2pa()
    kind = _ANY if manifest is not None else _EMBEDDED.get(Path(name).suffix.lower(), _ANY)
    anchors = {} if trust is None else {"trust": {"user_anchors": trust.decode("ascii", "replace")}}
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS | anchors))
        with context, c2pa.Reader(kind, file, manifest, context=context) as reader:
            return _checked(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return None
    except (c2pa.C2paError.NotSupported, c2pa.C2paError.Other) as error:
        return None if manifest is None else ManifestCheck("invalid", (_words(error),))
    except c2pa.C2paError as error:
        return ManifestCheck("invalid", (_words(error),))


def _sign(
    credentials: Credentials,
    claim: Claim,
    kind: str,
    source: BinaryIO,
    made: BinaryIO,
    signed: BinaryIO,
    *,
    embed: bool = True,
) -> bytes:
    c2pa = _c2pa()
    info = c2pa.C2paSignerInfo(
        credentials.algorithm, credentials.certificates, credentials.key, None
    )
    settings = c2pa.Settings.from_dict(_SETTINGS)
    parent = {"title": claim.source_name, "relationship": "parentOf"}
    parent_kind = _EMBEDDED.get(Path(claim.source_name).suffix.lower(), _ANY)
    with (
        c2pa.Signer.from_info(info) as signer,
        c2pa.Context(settings) as context,
        c2pa.Builder(_definition(claim, kind), context) as builder,
    ):
        if not embed:
            builder.set_no_embed()
        builder.add_ingredient(parent, parent_kind, source)
        return bytes(builder.sign(signer, kind, made, signed))


def _definition(claim: Claim, kind: str) -> dict[str, Any]:
    """What the manifest says, as C2PA's builder takes it."""
    agent = {"name": "facepipe", "version": claim.version}
    edited = {
        "action": "c2pa.edited",
        "softwareAgent": agent,
        "digitalSourceType": SOURCE_TYPE,
        "description": claim.note,
    }
    told = {"sha256": claim.report_sha256, "source_sha256": claim.source_sha256}
    return {
        "claim_generator_info": [agent],
        "title": claim.title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [edited]}},
            {"label": REPORT_ASSERTION, "data": told},
        ],
    }


def _checked(told: dict[str, Any]) -> ManifestCheck:
    """A reader's JSON in our words."""
    active = told["manifests"][told["active_manifest"]]
    results = told.get("validation_results", {})
    failed = _codes(results.get("activeManifest", {}).get("failure", ()))
    for delta in results.get("ingredientDeltas", ()):
        failed += _codes(delta.get("validationDeltas", {}).get("failure", ()))
    failures = tuple(dict.fromkeys(code for code in failed if code != _UNTRUSTED))
    actions = _data(active, "c2pa.actions").get("actions", ())
    own = _data(active, REPORT_ASSERTION)
    generator: dict[str, Any] = next(iter(active.get("claim_generator_info", ())), {})
    state: Literal["trusted", "valid", "invalid"] = "trusted"
    if failures or told.get("validation_state") == "Invalid":
        state = "invalid"
    elif told.get("validation_state") != "Trusted":
        state = "valid"
    signature = active.get("signature_info", {})
    return ManifestCheck(
        state,
        failures,
        signer=", ".join(filter(None, (signature.get("common_name"), signature.get("issuer"))))
        or None,
        source_types=tuple(a["digitalSourceType"] for a in actions if "digitalSourceType" in a),
        report_sha256=own.get("sha256"),
        source_sha256=own.get("source_sha256"),
        generator=generator.get("name"),
        parents=tuple(str(one.get("title", "")) for one in active.get("ingredients", ())),
    )


def _codes(statuses: Sequence[dict[str, Any]]) -> list[str]:
    return [str(status.get("code")) for status in statuses]


def _data(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    """The data of a manifest's first assertion of a label, whatever its version."""
    for one in manifest.get("assertions", ()):
        if one.get("label", "").startswith(label) and isinstance(one.get("data"), dict):
            return dict(one["data"])
    return {}


def _words(error: Exception) -> str:
    return " ".join(str(error).split())


def _c2pa() -> Any:
    import c2pa

    return c2pa
