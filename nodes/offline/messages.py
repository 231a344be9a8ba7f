"""A sequence of recorded detections as the messages that live cameras would have sent, in the order of their coming.

Pure. A frame that nobody is in is a message, too; a row at which a camera took no frame is none. A camera that is
silent for long says so first, as a recording that ends does, so that nobody waits for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nodes.offline.sequence import Sequence
from nodes.wire.messages import MAX_PEOPLE, CameraHealth, Keypoints2D

I64 = npt.NDArray[np.int64]

SECOND_NS = 1_000_000_000
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Stream:
    """When each camera took its frames, moved so that no time is negative.

    captured_ns: (T, C), NEVER where a camera took none. ticks_ns: (T,) moments of the rows. shift_ns: what was added.
    """

    captured_ns: I64
    ticks_ns: I64
    shift_ns: int


def stream_of(sequence: Sequence) -> Stream:
    """The times of a sequence's frames. One without a known time was taken at the row's moment, if anybody is in it."""
    rows_ns = np.broadcast_to(sequence.times_ns[:, None], sequence.keypoints.shape[:2])
    captured_ns = rows_ns.copy()
    if sequence.captured_s is not None and np.isfinite(sequence.captured_s).any():
        known = np.isfinite(sequence.captured_s)
        captured_ns[known] = np.round(sequence.captured_s[known] * 1e9).astype(np.int64)
        somebody = np.stack([np.isfinite(row).any((-3, -2, -1)) for row in sequence.keypoints])
        captured_ns[~known & ~somebody] = NEVER
    taken = captured_ns != NEVER
    first_ns = min(int(captured_ns.min()), int(sequence.times_ns[0]))
    shift_ns = max(0, SECOND_NS - first_ns)  # a bus's clock at zero has not begun
    captured_ns[taken] += shift_ns
    return Stream(captured_ns, sequence.times_ns + shift_ns, shift_ns)


def messages_of(sequence: Sequence, stream: Stream, max_gap_ns: int) -> Iterator[Keypoints2D | CameraHealth]:
    """All cameras' messages by time of capture. max_gap_ns: a camera that is silent for longer is not waited for."""
    seq = dict.fromkeys(sequence.rig.names, 0)
    for at_ns, ends, c, t in _events(stream, max_gap_ns):
        camera, name = sequence.rig.cameras[c], sequence.rig.names[c]
        stamps: dict[str, Any] = {"captured_ns": at_ns, "published_ns": at_ns, "source": name, "seq": seq[name]}
        seq[name] += 1
        if ends:
            yield CameraHealth(**stamps, state="ended")
        else:
            keypoints_px, confidence = people_of(sequence.keypoints[t, c][:, sequence.order])
            yield Keypoints2D(
                **stamps,
                skeleton=sequence.skeleton.name,
                size_wh=camera.size_wh,
                keypoints_px=keypoints_px,
                confidence=confidence,
                frame_id=max(0, int(sequence.frames[t])),
            )


def _events(stream: Stream, max_gap_ns: int) -> list[tuple[int, bool, int, int]]:
    """(time, whether the camera falls silent, camera, row) of every frame and silence, in order."""
    events: list[tuple[int, bool, int, int]] = []
    begin_ns, end_ns = int(stream.captured_ns.min()), int(stream.ticks_ns[-1]) + max_gap_ns + 1
    for c, times_ns in enumerate(stream.captured_ns.T):
        rows = np.flatnonzero(times_ns != NEVER)
        frames_ns = times_ns[rows].tolist()
        events += [(at_ns, False, c, t) for at_ns, t in zip(frames_ns, rows.tolist(), strict=True)]
        spoken_ns = sorted(frames_ns)
        silences = zip([begin_ns - 1, *spoken_ns], [*spoken_ns, end_ns], strict=True)
        events += [(from_ns, True, c, 0) for from_ns, to_ns in silences if to_ns - from_ns > max_gap_ns]
    return sorted(events)


def people_of(detections: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """keypoints_px (P, J, 2) and confidence (P, J) of the slots (P, J, 3) that anybody is in, the surest if many."""
    x, confidence = detections[..., :2], detections[..., 2]
    seen = np.isfinite(x).all(-1) & (confidence > 0)  # NaN compares false
    anybody = np.flatnonzero(seen.any(axis=1))
    if len(anybody) > MAX_PEOPLE:
        total = np.where(seen, np.minimum(confidence, 1.0), 0.0).sum(axis=1)[anybody]
        anybody = np.sort(anybody[np.argsort(-total, kind="stable")[:MAX_PEOPLE]])
    seen, x, confidence = seen[anybody], x[anybody], confidence[anybody]
    keypoints_px = np.where(seen[..., None], x, np.float32(np.nan))
    return keypoints_px, np.where(seen, np.minimum(confidence, np.float32(1.0)), np.float32(0.0))
