"""Manifests: signed with real keys, read back, and broken byte by byte."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

pytest.importorskip("c2pa")

from facepipe.errors import MediaError, UsageError
from facepipe.marking.credentials import PASSWORD, load_credentials
from facepipe.marking.manifest import (
    Claim,
    ManifestCheck,
    check_signing,
    is_embeddable,
    read_manifest,
    sign,
)
from facepipe.marking.xmp import SOURCE_TYPE
from media import synthetic
from media.certificates import Signer, signer

CLAIM = Claim("b.mp4", "1.2", "a note", "a.mp4", "aa" * 32, "bb" * 32)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signer(tmp_path_factory.mktemp("keys"))


def signed(path: Path, keys: Signer, claim: Claim = CLAIM) -> bytes:
    made, credentials = BytesIO(), load_credentials(keys.key, keys.certificates)
    with path.open("rb") as file, path.open("rb") as source:
        assert sign(file, made, credentials, claim, source=source, embed=True) is None
    return made.getvalue()


def check(data: bytes, manifest: bytes | None = None, **how: bytes) -> ManifestCheck | None:
    return read_manifest(BytesIO(data), "b.mp4", manifest, **how)


@pytest.mark.parametrize("algorithm", ["es256", "es384", "ed25519", "ps256"])
def test_a_video_with_its_manifest_in_it(algorithm: str, tmp_path: Path) -> None:
    keys = signer(tmp_path / "keys", algorithm)
    check_signing(load_credentials(keys.key, keys.certificates))
    data = signed(synthetic.plain(tmp_path / "a.mp4"), keys)
    found = check(data)
    assert found is not None
    assert (found.state, found.failures, found.signer) == ("valid", (), "A signer, Tests")
    assert (found.report_sha256, found.source_sha256) == (CLAIM.report_sha256, CLAIM.source_sha256)
    assert (found.source_types, found.generator) == ((SOURCE_TYPE,), "facepipe")
    assert found.parents == ("a.mp4",)
    trusted = check(data, trust=keys.root.read_bytes())
    assert trusted is not None
    assert trusted.state == "trusted"


def test_a_manifest_of_its_own_for_what_has_no_place(keys: Signer, tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mkv")
    claim = Claim("b.mkv", "1.2", "a note", "a.mkv", "aa" * 32, "bb" * 32)
    assert not is_embeddable("b.mkv")
    credentials, nothing = load_credentials(keys.key, keys.certificates), BytesIO()
    with source.open("rb") as made, source.open("rb") as given:
        manifest = sign(made, nothing, credentials, claim, source=given, embed=False)
    assert manifest
    assert nothing.getvalue() == b""
    data = source.read_bytes()
    found = read_manifest(BytesIO(data), "b.mkv", manifest)
    assert found is not None
    assert found.state == "valid"
    for at in range(0, len(data), len(data) // 12):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        found = read_manifest(BytesIO(broken), "b.mkv", manifest)
        assert found is not None
        assert found.state == "invalid"


def test_the_manifest_of_the_source_goes_along(keys: Signer, tmp_path: Path) -> None:
    first = tmp_path / "first.mp4"
    first.write_bytes(signed(synthetic.plain(tmp_path / "a.mp4"), keys))
    found = check(signed(first, keys))
    assert found is not None
    assert (found.state, found.parents) == ("valid", ("a.mp4",))


def test_a_changed_byte_of_the_manifest_is_found(keys: Signer, tmp_path: Path) -> None:
    data = signed(synthetic.plain(tmp_path / "a.mp4"), keys)
    begin = data.index(b"jumb")
    size = int.from_bytes(data[begin - 4 : begin], "big")
    states = []
    for at in range(begin + 4, begin + size - 8, size // 24):
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        found = check(broken)
        states.append(None if found is None else found.state)
    # The room that is kept for the signature holds zeros, which say nothing.
    assert states.count("invalid") + states.count(None) >= len(states) * 3 // 4
    assert "trusted" not in states


def test_a_file_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert check(synthetic.plain(tmp_path / "a.mp4").read_bytes()) is None
    assert read_manifest(BytesIO(b"abc"), "a.bmp") is None
    found = check(b"abc", b"no manifest")
    assert found is not None
    assert found.state == "invalid"


def test_what_is_no_video_is_not_signed(keys: Signer) -> None:
    credentials = load_credentials(keys.key, keys.certificates)
    with pytest.raises(MediaError, match=r"b\.mp4: C2PA cannot sign it"):
        sign(BytesIO(b"abc"), BytesIO(), credentials, CLAIM, source=BytesIO(b"abc"), embed=True)


def test_an_encrypted_key_needs_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = signer(tmp_path / "keys", password=b"a secret")
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(UsageError, match=f"encrypted; {PASSWORD}"):
        load_credentials(keys.key, keys.certificates)
    monkeypatch.setenv(PASSWORD, "another")
    with pytest.raises(UsageError, match=f"does not open with {PASSWORD}"):
        load_credentials(keys.key, keys.certificates)
    monkeypatch.setenv(PASSWORD, "a secret")
    credentials = load_credentials(keys.key, keys.certificates)
    check_signing(credentials)
    assert "PRIVATE" not in repr(credentials)


def test_refused_before_the_work(tmp_path: Path) -> None:
    good, other = signer(tmp_path / "good"), signer(tmp_path / "other")
    old, curve = signer(tmp_path / "old", days=(-9, -1)), signer(tmp_path / "curve", "k1")
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    cases = [
        (tmp_path / "none.pem", good.certificates, "--sign-key .*none.pem: there is no such file"),
        (empty, good.certificates, "--sign-key: is no private key in PEM"),
        (good.key, empty, "--sign-cert: is no certificate in PEM"),
        (good.key, other.certificates, "another key than --sign-key"),
        (old.key, old.certificates, "--sign-cert: valid from .*, and not now"),
        (curve.key, curve.certificates, "another kind than C2PA takes"),
    ]
    for key, certificates, words in cases:
        with pytest.raises(UsageError, match=words):
            load_credentials(key, certificates)
    web = signer(tmp_path / "web", purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(UsageError, match="--sign-cert: C2PA does not take it"):
        check_signing(load_credentials(web.key, web.certificates))
