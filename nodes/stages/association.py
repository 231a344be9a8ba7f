"""Which detection in which view is which person. One person so far: the surest detection of each view."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.stages.synchroniser import Tick

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """One person in all C cameras: keypoints_px (C, J, 2), NaN where absent, and confidence (C, J), 0 where absent."""

    keypoints_px: F32
    confidence: F32


def associate(tick: Tick, cameras: tuple[str, ...], n_joints: int) -> list[Seen]:
    """The people of a tick, views in the order of `cameras`; empty when no view saw anybody."""
    keypoints_px = np.full((len(cameras), n_joints, 2), np.nan, dtype=np.float32)
    confidence = np.zeros((len(cameras), n_joints), dtype=np.float32)
    anybody = False
    for index, name in enumerate(cameras):
        view = tick.views.get(name)
        if view is None or not len(view.confidence):
            continue
        surest = int(np.argmax(view.confidence.sum(axis=1))) if len(view.confidence) > 1 else 0
        keypoints_px[index] = view.keypoints_px[surest]
        confidence[index] = view.confidence[surest]
        anybody = True
    return [Seen(keypoints_px, confidence)] if anybody else []
