"""ParsingNet alone: the parse of a face that need not be restored."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import Crops, Float32
from facepipe.datatypes.stages import stage
from facepipe.models.registry import PARSER, verified
from facepipe.models.runtime import onnx_session

#: Faces that go through the network at once.
BATCH = 16


class Parser:
    """Parses faces as FishSRNet's guide does, at a sixth of the cost of restoring them.

    Runs on onnxruntime in float32, whatever runs FishSRNet: it loads in no time.
    """

    def __init__(self, *, threads: int = 1) -> None:
        """Raises ModelError when the weights are missing or damaged."""
        self._session = onnx_session(verified(PARSER).paths[1], threads=threads)

    def __call__(self, crops: Crops) -> Float32:
        """(N, 8, 32, 32): each canvas's shares of the parts of a face (`parsingnet.PARTS`)."""
        parses: list[Float32] = [np.zeros((0, 8, 32, 32), np.float32)]
        for first in range(0, len(crops), BATCH):
            batch = crops.network_input(first, first + BATCH).transpose(0, 3, 1, 2)
            inputs = {"seen": np.ascontiguousarray(batch, np.float32)}
            with stage("network"):
                parses.append(np.asarray(self._session.run(["parse"], inputs)[0], np.float32))
        return np.concatenate(parses)
