"""Members of an archive, and the limits of what is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of what is read of an archive."""

    member_bytes: int = 512 * 2**20  # uncompressed
    # Of uncompressed to compressed bytes, above 1 MiB: deflate gives 1032 for one plain colour.
    ratio: float = 1100
    members: int = 10_000_000  # folders and refused members included
    name_length: int = 4096  # characters, as stored in the archive


@dataclass(frozen=True)
class Packing:
    """How a zip stores a member: compressed bytes, method, and the CRC-32 of the content."""

    size: int
    method: int
    crc: int


@dataclass(frozen=True)
class Member:
    """A plain file in an archive.

    `name` is a relative POSIX path that is safe to make on any disk, `stored` what the archive has
    for it, `size` its bytes uncompressed. `offset` is where its data begin in an uncompressed tar,
    or its local header in a zip. `modified` is in seconds since 1970; zip stores it without a
    time zone, which is taken for UTC, in steps of 2 s.
    """

    name: str
    stored: str
    size: int
    offset: int
    modified: float | None
    packing: Packing | None = None


@dataclass(frozen=True)
class Refused:
    """A member that is not read: its name, printable and 200 characters at most, and why."""

    stored: str
    reason: str
