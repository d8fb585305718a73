"""Archives of pictures (.zip, .tar and its compressed kinds): listed, read and written in a stream.

An archive is taken for hostile: nothing is unpacked to disk, no more is unpacked into memory than
a member declares and the limits allow, and a member that is no plain file with a name that is safe
on every disk is refused while the rest goes on. Zip's directory is held in memory, as zipfile does;
of a tar only 16 to 32 bytes for each name are, by which doubles are found.
"""

from facepipe.batch.archives.members import Limits, Member, Refused
from facepipe.batch.archives.names import ARCHIVE_SUFFIXES, is_archive_name
from facepipe.batch.archives.reading import Archive, opened
from facepipe.batch.archives.writing import ArchiveWriter

__all__ = [
    "ARCHIVE_SUFFIXES",
    "Archive",
    "ArchiveWriter",
    "Limits",
    "Member",
    "Refused",
    "is_archive_name",
    "opened",
]
