"""The key and the certificates that results are signed with, read and checked before the work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from facepipe.errors import UsageError

#: Where the password of an encrypted key is read from: what is typed would stand in histories.
PASSWORD = "FACEPIPE_SIGN_PASSWORD"
_MOST_BYTES = 2**20
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_KEYS = "EC (P-256, P-384, P-521), Ed25519 or RSA"


@dataclass(frozen=True)
class Credentials:
    """What a manifest is signed with: PEM of certificates, own first, and of the key (PKCS #8)."""

    algorithm: str
    certificates: bytes
    key: bytes
    subject: str  # of whom the own certificate is

    def __repr__(self) -> str:
        return f"Credentials({self.algorithm}, {self.subject!r})"  # no key in a log


def load_credentials(key: Path, certificate: Path) -> Credentials:
    """Read a private key and its certificates, both PEM. An encrypted key needs its password.

    Raises UsageError where one cannot be read, they do not belong together, or the time of the
    certificate is not now. ModuleNotFoundError: without facepipe[c2pa].
    """
    return _loaded(_content(key, "--sign-key"), _content(certificate, "--sign-cert"))


def _content(path: Path, option: str) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"{option} {path}: there is no such file")
        return path.read_bytes()[:_MOST_BYTES]
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read ({error.strerror or error})") from error


@lru_cache(maxsize=2)
def _loaded(key: bytes, certificates: bytes) -> Credentials:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        own = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, IndexError) as error:
        raise UsageError("--sign-cert: is no certificate in PEM") from error
    private = _private_key(key)
    if private.public_key() != own.public_key():
        raise UsageError(
            "--sign-cert: its first certificate is that of another key than --sign-key"
        )
    now = datetime.now(UTC)
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        raise UsageError(
            f"--sign-cert: valid from {own.not_valid_before_utc:%Y-%m-%d} to "
            f"{own.not_valid_after_utc:%Y-%m-%d}, and not now"
        )
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credentials(_algorithm(private), certificates, plain, own.subject.rfc4514_string())


def _private_key(pem: bytes) -> Any:
    """The key; UsageError for what is none, or has another password."""
    from cryptography.hazmat.primitives import serialization

    password = os.environ.get(PASSWORD)
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not password:
        raise UsageError(f"--sign-key: is encrypted; {PASSWORD} in the environment opens it")
    try:
        given = password.encode() if encrypted and password else None
        return serialization.load_pem_private_key(pem, given)
    except (ValueError, TypeError) as error:
        wrong = f"does not open with {PASSWORD}" if encrypted else "is no private key in PEM"
        raise UsageError(f"--sign-key: {wrong}") from error


def _algorithm(key: Any) -> str:
    """C2PA's name of what a key signs with. UsageError for a key that it does not take."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    found = _CURVES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePrivateKey) else None
    if found is None:
        raise UsageError(f"--sign-key: is of another kind than C2PA takes; use {_KEYS}")
    return found
