"""Checks of a member before it is read: its name, and the size that it declares."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array

from facepipe.batch.archives.members import Limits, Member
from facepipe.batch.archives.unpack import STEP
from facepipe.errors import printable

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DUPLICATE = "a member before it has the same name, but for case or the form of accents"

_RESERVED = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *([.:]|$)", re.I
)


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is an archive that can be read and written here."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def without_archive_suffix(name: str) -> str:
    """An archive's name, or its path, without the suffix that says so."""
    longest = max((s for s in ARCHIVE_SUFFIXES if name.lower().endswith(s)), key=len, default="")
    return name[: len(name) - len(longest)]


def safe_name(stored: str, longest: int) -> tuple[str, str]:
    """The relative POSIX path of a stored name, and why it is refused (empty: it is not).

    A backslash counts as a slash, as on Windows; "." and empty components are left out.
    """
    if len(stored) > longest:
        return "", f"a name of {len(stored)} characters, {longest} are allowed"
    if refusal := _characters_refusal(stored):
        return "", refusal
    path = stored.replace("\\", "/")
    if path.startswith("/"):
        return "", "an absolute name"
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.endswith("/"):
        return "", "an empty name" if not parts else "a folder's name"
    refusal = next(filter(None, map(_component_refusal, parts)), "")
    return ("", refusal) if refusal else ("/".join(parts), "")


def _characters_refusal(stored: str) -> str:
    """Why the characters of a name are refused; empty: they are not."""
    if stored.isprintable():
        return ""
    kinds = {unicodedata.category(character) for character in stored}
    if "Cs" in kinds:
        return "a name that is not UTF-8"
    return "a name with control characters" if kinds & {"Cc", "Zl", "Zp"} else ""


def _component_refusal(component: str) -> str:
    """Why one component of a path is refused; empty: it is not."""
    if component == "..":
        return "a name that leads out of its folder (..)"
    if re.match(r"[A-Za-z]:", component):
        return "a name with a drive letter"
    if component.endswith((".", " ")):
        return "a name with a component that ends in a dot or a space"
    if _RESERVED.match(component):
        return "a name that Windows reserves for a device"
    if len(component.encode()) > 255:
        return "a name with a component of more than 255 bytes"
    return ""


def too_big(member: Member, limits: Limits) -> str:
    """Why a member's declared size is refused; empty: it is not."""
    if member.size > limits.member_bytes:
        return f"{member.size} bytes are more than the {limits.member_bytes} allowed"
    packed = member.packing.size if member.packing else member.size
    if member.size > STEP and member.size > limits.ratio * packed:
        return f"a bomb: {packed} bytes that unpack to {member.size}"
    return ""


def shown_name(name: str) -> str:
    """A member's name as messages show it."""
    return printable(name, longest=200)


class Names:
    """A set of names: a hash table, at most half full, of 8 bytes of each name's digest."""

    def __init__(self) -> None:
        self._table, self._count = array("Q", [0]) * 1024, 0

    def add(self, name: str) -> bool:
        """Whether it is new, also on disks that ignore case and Unicode normalisation."""
        folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
        digest = hashlib.blake2b(folded.encode(), digest_size=8).digest()
        if 2 * self._count >= len(self._table):
            old, self._table = self._table, array("Q", [0]) * (2 * len(self._table))
            for mark in filter(None, old):
                self._put(mark)
        new = self._put(int.from_bytes(digest, "little") or 1)
        self._count += new
        return new

    def _put(self, mark: int) -> bool:
        at = mark % len(self._table)
        while self._table[at]:
            if self._table[at] == mark:
                return False
            at = (at + 1) % len(self._table)
        self._table[at] = mark
        return True
