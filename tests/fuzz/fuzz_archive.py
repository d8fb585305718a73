"""Archives: their members are listed and read within their limits."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

from facepipe.batch.archives import Limits, Refused, open_archive
from facepipe.errors import FacepipeError

_KINDS = (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz")


def seeds() -> dict[str, bytes]:
    """One of each kind; the first byte says which."""
    made = {}
    for kind, suffix in enumerate(_KINDS):
        file = io.BytesIO()
        if suffix == ".zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a/b.jpg", b"picture" * 20)
                archive.writestr("é.png", b"")
        else:
            mode = {".tar": "w", ".tar.gz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}[suffix]
            with tarfile.open(fileobj=file, mode=mode) as packed:  # type: ignore[call-overload]
                info = tarfile.TarInfo("a/b.jpg")
                info.size = 140
                packed.addfile(info, io.BytesIO(b"picture" * 20))
                packed.addfile(tarfile.TarInfo("x" * 200 + "é.png"))
        made[suffix.strip(".").replace(".", "-")] = bytes([kind]) + file.getvalue()
    return made


def try_one(data: bytes) -> None:
    """List and read all its members; only FacepipeError may come out."""
    if not data:
        return
    limits = Limits(member_bytes=1 << 20)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{_KINDS[data[0] % len(_KINDS)]}"
        path.write_bytes(data[1:])
        with contextlib.suppress(FacepipeError), open_archive(path) as archive:
            for member in list(archive.members(limits)):
                if not isinstance(member, Refused):
                    with contextlib.suppress(FacepipeError):
                        assert len(archive.read(member, limits)) == member.size
