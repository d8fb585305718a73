"""Keys and certificates to sign with, made for a test: a root, and one that it has issued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_MAKERS: dict[str, Any] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


@dataclass(frozen=True)
class Signer:
    """The files of a signer: its key, its certificates with the root's, the root's alone."""

    key: Path
    certificates: Path
    root: Path


def signer(
    folder: Path,
    algorithm: str = "es256",
    *,
    days: tuple[int, int] = (-1, 365),
    password: bytes | None = None,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> Signer:
    """Make a signer's files in `folder`, valid from and to so many days from now."""
    folder.mkdir(parents=True, exist_ok=True)
    above, own = _MAKERS["es256"](), _MAKERS[algorithm]()
    root = _certificate("A root", "A root", above.public_key(), above, days, purpose=None, ca=True)
    leaf = _certificate("A signer", "A root", own.public_key(), above, days, purpose, ca=False)
    made = Signer(folder / "key.pem", folder / "chain.pem", folder / "root.pem")
    pem = serialization.Encoding.PEM
    closed: Any = serialization.NoEncryption()
    if password is not None:
        closed = serialization.BestAvailableEncryption(password)
    made.key.write_bytes(own.private_bytes(pem, serialization.PrivateFormat.PKCS8, closed))
    made.root.write_bytes(root.public_bytes(pem))
    made.certificates.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    return made


def _certificate(
    subject: str,
    issuer: str,
    public: Any,
    signing: Any,
    days: tuple[int, int],
    purpose: x509.ObjectIdentifier | None,
    *,
    ca: bool,
) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        parts = (NameOID.ORGANIZATION_NAME, "Tests"), (NameOID.COMMON_NAME, text)
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    unused = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False
    )  # fmt: skip
    usage = x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **unused)
    begin, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
        .add_extension(usage, critical=True)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(signing, hashes.SHA256())
