"""Frames of several cameras as the messages that live cameras would have sent, in the order of their coming. Pure.

Nothing is collected: of every camera one frame is read ahead.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.rig import CameraRig
from nodes.offline.messages import people_of
from nodes.wire.messages import CameraHealth, Keypoints2D

Messages = Iterator[Keypoints2D | CameraHealth]


@dataclass(frozen=True)
class Seen:
    """A camera's frame. detections: (P, J, 3) x, y, confidence; NaN or confidence 0 where absent."""

    captured_ns: int
    frame_id: int
    detections: npt.NDArray[np.float32]


def keypoints_of(cameras: Mapping[str, Iterable[Seen]], rig: CameraRig, skeleton: str) -> Iterator[Keypoints2D]:
    """All cameras' frames by time of capture; each camera's are in order already, joints in the skeleton's order."""
    streams = [_of_camera(name, seen, rig[name].size_wh, skeleton) for name, seen in cameras.items()]
    return heapq.merge(*streams, key=lambda message: message.captured_ns)


def with_silences(messages: Iterable[Keypoints2D], cameras: Sequence[str], max_gap_ns: int) -> Messages:
    """The messages, and word of every camera that has sent nothing for max_gap_ns, so that nobody waits for it.

    A recording that ends says so, too.
    """
    heard_ns: dict[str, int] = {}
    waited_for, counts, now_ns = set(cameras), dict.fromkeys(cameras, 0), 0
    for message in messages:
        now_ns = message.published_ns
        for camera in sorted(waited_for):
            if now_ns - heard_ns.setdefault(camera, now_ns) > max_gap_ns and camera != message.source:
                waited_for.remove(camera)
                yield _ended(camera, now_ns, counts)
        heard_ns[message.source] = now_ns
        waited_for.add(message.source)
        yield message
    for camera in sorted(waited_for):
        yield _ended(camera, now_ns, counts)


def _of_camera(name: str, frames: Iterable[Seen], size_wh: tuple[int, int], skeleton: str) -> Iterator[Keypoints2D]:
    for seq, seen in enumerate(frames):
        keypoints_px, confidence = people_of(seen.detections)
        yield Keypoints2D(
            captured_ns=seen.captured_ns,
            published_ns=seen.captured_ns,
            source=name,
            seq=seq,
            skeleton=skeleton,
            size_wh=size_wh,
            keypoints_px=keypoints_px,
            confidence=confidence,
            frame_id=seen.frame_id,
        )


def _ended(camera: str, now_ns: int, counts: dict[str, int]) -> CameraHealth:
    counts[camera] += 1
    return CameraHealth(captured_ns=now_ns, published_ns=now_ns, source=camera, seq=counts[camera] - 1, state="ended")
