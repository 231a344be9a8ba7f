"""The 2D detector once more on recorded pictures, with fusion telling it where to look, as live.

Deterministic, although cameras work in parallel: frames are taken in the order of their capture, and those of a round,
one of each camera at most, are all told what fusion expected before it. Whoever takes the keypoints must push each into
the pipeline before asking for the next.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from configs.schema import Config
from nodes.detect.detector import Detections, Detector
from nodes.detect.opening import open_detector
from nodes.detect.regions import regions_at
from nodes.sources.source import Frame
from nodes.wire.messages import Expected, Keypoints2D

DETECTED_AFTER_NS = 40_000_000  # what detection usually takes; the same for all, so that the order stays


class Fusion(Protocol):
    """What is asked where to look: a FusionPipeline."""

    def expected(self) -> Expected:
        """Where the cameras will see those who were shown at the last tick."""


@dataclass
class _Camera:
    """One camera's detector and frames, of which one is decoded ahead."""

    name: str
    detector: Detector
    frames: Iterator[Frame]
    pool: ThreadPoolExecutor
    seq: int = 0

    def __post_init__(self) -> None:
        self._ahead: Future[Frame | None] = self.pool.submit(next, self.frames, None)

    @property
    def head(self) -> Frame | None:
        """The next frame, None at the end; waits until it is decoded."""
        return self._ahead.result()

    def take(self) -> None:
        """Go on to the frame after the head."""
        self._ahead = self.pool.submit(next, self.frames, None)

    def detect(self, frame: Frame, expected: Expected | None) -> Detections:
        height, width = frame.image_rgb.shape[:2]
        regions = regions_at(expected, self.name, frame.captured_ns, (width, height))
        return self.detector.detect(frame, regions)

    def message(self, frame: Frame, detections: Detections) -> Keypoints2D:
        height, width = frame.image_rgb.shape[:2]
        self.seq += 1
        return Keypoints2D(
            captured_ns=frame.captured_ns,
            published_ns=frame.captured_ns + DETECTED_AFTER_NS,
            source=self.name,
            seq=self.seq - 1,
            frame_id=frame.frame_id,
            skeleton=self.detector.skeleton,
            size_wh=(width, height),
            keypoints_px=detections.keypoints_px.astype(np.float32),
            confidence=detections.confidence.astype(np.float32),
            asked_ids=detections.asked_ids,
        )


def detect_again(
    frames: Mapping[str, Iterator[Frame]], config: Config, pipeline: Fusion
) -> Generator[Keypoints2D, None, None]:
    """Keypoints of all cameras' frames, in the order of their capture; published_ns is a usual while later.

    pipeline: is asked what it expects before each round, where the configuration has the detector's feedback on.
    Raises what opening a detector raises, and what the frames do.
    """
    workers = max(1, min(len(frames), os.cpu_count() or 1))
    detectors: list[Detector] = []
    pool = ThreadPoolExecutor(workers, thread_name_prefix="detect")
    try:
        cameras = []
        for name, each in frames.items():
            detectors.append(open_detector(config.detector))
            cameras.append(_Camera(name, detectors[-1], each, pool))
        for batch in _rounds(cameras):
            expected = pipeline.expected() if config.detector.feedback else None
            found = [pool.submit(camera.detect, frame, expected) for camera, frame in batch]
            for (camera, frame), detections in zip(batch, found, strict=True):
                yield camera.message(frame, detections.result())
    finally:
        pool.shutdown(cancel_futures=True)
        for detector in detectors:
            detector.close()


def _rounds(cameras: list[_Camera]) -> Iterator[list[tuple[_Camera, Frame]]]:
    """All frames by time of capture, cut before the first camera that would come a second time."""
    batch: list[tuple[_Camera, Frame]] = []
    while True:
        heads = [(camera, frame) for camera in cameras if (frame := camera.head) is not None]
        if not heads:
            break
        camera, frame = min(heads, key=lambda head: head[1].captured_ns)
        if any(other is camera for other, _ in batch):
            yield batch
            batch = []
        batch.append((camera, frame))
        camera.take()
    if batch:
        yield batch
