"""MediaPipe Pose behind the detector protocol: 33 landmarks.

On its own it finds one person, in MediaPipe's VIDEO mode. Told by fusion where to look it finds several; not by
MediaPipe's own mode for several people, which finds one of two who stand 1.2 m apart (docs/detection.md).
"""

import os

os.environ.setdefault("GLOG_minloglevel", "2")  # its C++ side reports every graph it builds on stderr

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from configs import schema
from configs.errors import ConfigError
from nodes.detect.detector import Detections
from nodes.detect.follow import Follower
from nodes.detect.mediapipe_models import Look, Models, pixels
from nodes.detect.pose_bundle import bundle_path
from nodes.detect.regions import Regions
from nodes.sources.source import Frame
from nodes.wire.messages import MAX_PEOPLE

N_JOINTS = 33


class MediaPipePose:
    """One camera's detector; keeps track of people from frame to frame."""

    skeleton = "mediapipe33"

    def __init__(self, settings: schema.Detector) -> None:
        """Load the model of `settings.task_file`, or the wheel's own.

        Raises FileNotFoundError when it is not there, ConfigError when the file is no model.
        """
        path = settings.task_file or bundle_path()
        if not path.is_file():
            raise FileNotFoundError(f"detector.task_file {path} does not exist: leave it out to use MediaPipe's own")
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=1,
            min_pose_detection_confidence=settings.min_detection_confidence,
            min_tracking_confidence=settings.min_tracking_confidence,
        )
        try:
            self._landmarker = vision.PoseLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            if settings.task_file is None:
                raise
            raise ConfigError(
                f"detector.task_file {path} is no pose_landmarker bundle that MediaPipe can load ({error}): leave it "
                "out to use MediaPipe's own, or fetch the .task file again"
            ) from error
        self._models = Models(path, settings) if settings.feedback else None
        self._follower = Follower(settings.search_every)
        self._last_ms = -1

    def detect(self, frame: Frame, regions: Regions | None = None) -> Detections:
        """Landmarks in pixels of the frame, with MediaPipe's visibility as confidence."""
        if regions is None or self._models is None:
            return self._detect_one(frame)
        image_rgb = np.ascontiguousarray(frame.image_rgb)
        people = self._follower.step(Look(self._models, image_rgb), regions)[:MAX_PEOPLE]
        return Detections(
            keypoints_px=np.array([p.found.keypoints_px for p in people], dtype=np.float32).reshape(-1, N_JOINTS, 2),
            confidence=np.array([p.found.confidence for p in people], dtype=np.float32).reshape(-1, N_JOINTS),
            asked_ids=tuple(person.asked_id for person in people),
        )

    def _detect_one(self, frame: Frame) -> Detections:
        # its clock must rise by a millisecond at least, whatever the camera's clock does
        self._last_ms = max(self._last_ms + 1, frame.captured_ns // 1_000_000)
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame.image_rgb))
        people = self._landmarker.detect_for_video(image, self._last_ms).pose_landmarks
        height, width = frame.image_rgb.shape[:2]
        values = np.array(
            [[(mark.x, mark.y, mark.visibility) for mark in person] for person in people], dtype=np.float32
        ).reshape(len(people), N_JOINTS, 3)
        return Detections(pixels(values[..., :2], (width, height)), np.clip(values[..., 2], 0.0, 1.0))

    def close(self) -> None:
        if self._models is not None:
            self._models.close()
        self._landmarker.close()


def check() -> str:
    """What the doctor wants to know: which model would run. Raises FileNotFoundError."""
    return f"MediaPipe {mp.__version__}, {bundle_path()}"
