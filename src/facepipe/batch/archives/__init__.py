"""Archives of images (.zip, .tar and its compressed kinds): listed, read and written as streams.

Every archive is treated as hostile. Nothing is unpacked to disk. No more is unpacked into memory
than a member declares and the limits allow. A member is refused unless it is a plain file with a
name that is safe on every disk; the rest goes on. A zip's directory is held in memory, as zipfile
does; of a tar only 16 to 32 bytes a name, to find duplicates.
"""

from facepipe.batch.archives.members import Limits, Member, Refused
from facepipe.batch.archives.names import ARCHIVE_SUFFIXES, is_archive_name
from facepipe.batch.archives.reading import Archive, open_archive
from facepipe.batch.archives.writing import ArchiveWriter

__all__ = [
    "ARCHIVE_SUFFIXES",
    "Archive",
    "ArchiveWriter",
    "Limits",
    "Member",
    "Refused",
    "is_archive_name",
    "open_archive",
]
