"""FishSRNet guided by ParsingNet, as a restorer."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import CANVAS, Crops, Float32, Restored
from facepipe.datatypes.stages import stage
from facepipe.models.runtime import Runner

#: Faces that go through the network at once; bounds memory at about 10 MB a face.
BATCH = 16


class FishSRNetRestorer:
    """Restores canvases in batches of BATCH, whatever runs the network.

    With `mirrored`, each result is the mean over the face and its mirror image: a little nearer to
    the truth, at twice the cost.
    """

    def __init__(self, runner: Runner, *, mirrored: bool = False) -> None:
        self._runner = runner
        self._mirrored = mirrored
        self.description = runner.description

    def __call__(self, crops: Crops) -> Restored:
        restored: list[Float32] = [np.zeros((0, CANVAS, CANVAS, 3), np.float32)]
        parses: list[Float32] = [np.zeros((0, 8, 32, 32), np.float32)]
        for first in range(0, len(crops), BATCH):
            batch = crops.network_input(first, first + BATCH).transpose(0, 3, 1, 2)
            pixels, parse = self._run(np.ascontiguousarray(batch, np.float32))
            if self._mirrored:  # no class of the parse distinguishes left from right
                other = self._run(np.ascontiguousarray(batch[..., ::-1], np.float32))
                half = np.float32(0.5)
                pixels = half * (pixels + other[0][..., ::-1])
                parse = half * (parse + other[1][..., ::-1])
            # Row by row, colours together: all that comes after is several times as fast on it.
            restored.append(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)))
            parses.append(parse)
        return Restored(pixels=np.concatenate(restored), parse=np.concatenate(parses))

    def _run(self, batch_NCHW: Float32) -> tuple[Float32, Float32]:
        with stage("network"):
            return self._runner(batch_NCHW)
