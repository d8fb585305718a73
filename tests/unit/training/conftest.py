"""The aligned faces that these tests share."""

from __future__ import annotations

from media.aligned_faces import drawn_face, faces_folder, faces_zip, masks_folder, one_thread

__all__ = ["drawn_face", "faces_folder", "faces_zip", "masks_folder", "one_thread"]
