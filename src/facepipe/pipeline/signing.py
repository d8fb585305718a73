"""Signing of results, as the last step before they get their name: in the file, or beside it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from facepipe import __version__
from facepipe._system.files import sha256_of, write_bytes
from facepipe.configs.notices import CONTAINER_TAG
from facepipe.configs.settings import SignSettings
from facepipe.errors import UsageError
from facepipe.marking.credentials import Credentials, load_credentials
from facepipe.marking.manifest import Claim, check_signing, is_embeddable, manifest_path, sign
from facepipe.pipeline.report_models import ManifestReport
from facepipe.pipeline.report_seal import content_sha256
from facepipe.pipeline.sidecar import Sidecar
from facepipe.video import may_move


def signer_of(settings: SignSettings) -> Credentials | None:
    """The key and certificates that results are signed with; None: they are not.

    Raises UsageError where they cannot sign, or one of both is missing. ModuleNotFoundError:
    without facepipe[c2pa].
    """
    if settings.key is None and settings.certificate is None:
        return None
    if settings.key is None or settings.certificate is None:
        raise UsageError("--sign-key and --sign-cert go together: one of them is missing")
    return load_credentials(settings.key, settings.certificate)


def check_signer(settings: SignSettings) -> None:
    """Try a signature, where results are to be signed. Raises as `signer_of`."""
    credentials = signer_of(settings)
    if credentials is not None:
        check_signing(credentials)


def signed_with(settings: SignSettings) -> tuple[str, ...]:
    """The digest of the certificates that results are signed with, tried; none: they are not."""
    check_signer(settings)
    return () if settings.certificate is None else (sha256_of(settings.certificate),)


def sign_video(
    whole: Path, target: Path, source: Path, report: Sidecar, settings: SignSettings
) -> Sidecar:
    """Sign the finished video `whole`, which is to be `target`: its report, with the digests.

    A video of which no network has made a part is not signed. A manifest of its own is written
    beside `target`; one that an earlier output left there goes. Errors: MediaError where the file
    cannot be signed, OutputError as the disk refuses.
    """
    credentials = signer_of(settings)
    manifest_path(target).unlink(missing_ok=True)
    if credentials is None or not report.faces_enhanced:
        return report.delivered(sha256_of(whole), None)
    embed = is_embeddable(target.name) and may_move(whole)
    signed = whole.with_name(f"signed-{whole.name}")
    with source.open("rb") as given, whole.open("rb") as made, signed.open("w+b") as file:
        manifest = sign(made, file, credentials, _claim(report), source=given, embed=embed)
    if manifest is None:
        signed.replace(whole)
    else:
        signed.unlink()
        write_bytes(manifest, manifest_path(target))
    return report.delivered(sha256_of(whole), _told(manifest, target))


def sign_image(
    written: bytes,
    target: Path,
    source: bytes,
    report: Sidecar,
    settings: SignSettings,
    *,
    embed: bool,
) -> tuple[bytes, ManifestReport | None]:
    """Sign an image file: its bytes, and what its report says of the manifest; see `sign_video`.

    `embed`: the manifest may lie in the file.
    """
    credentials = signer_of(settings)
    manifest_path(target).unlink(missing_ok=True)
    if credentials is None:
        return written, None
    signed = BytesIO()
    manifest = sign(
        BytesIO(written),
        signed,
        credentials,
        _claim(report),
        source=BytesIO(source),
        embed=embed and is_embeddable(target.name),
    )
    if manifest is None:
        return signed.getvalue(), _told(None, target)
    write_bytes(manifest, manifest_path(target))
    return written, _told(manifest, target)


def _claim(report: Sidecar) -> Claim:
    return Claim(
        title=report.output.name,
        version=__version__,
        note=CONTAINER_TAG,
        source_name=report.source.name,
        source_sha256=report.source.sha256,
        report_sha256=content_sha256(report.model_dump(mode="json")),
    )


def _told(manifest: bytes | None, target: Path) -> ManifestReport:
    return ManifestReport.of(manifest, manifest_path(target).name)
