"""MediaPipe Pose behind the detector protocol: one person, 33 landmarks. The only file that runs MediaPipe."""

import os

os.environ.setdefault("GLOG_minloglevel", "2")  # its C++ side reports every graph it builds on stderr

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from configs import schema
from configs.errors import ConfigError
from nodes.detect.detector import Detections
from nodes.detect.pose_bundle import bundle_path
from nodes.sources.source import Frame

N_JOINTS = 33


class MediaPipePose:
    """One camera's detector; keeps track of the person from frame to frame."""

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
        self._last_ms = -1

    def detect(self, frame: Frame) -> Detections:
        """Landmarks in pixels of the frame, with MediaPipe's visibility as confidence."""
        # its clock must rise by a millisecond at least, whatever the camera's clock does
        self._last_ms = max(self._last_ms + 1, frame.captured_ns // 1_000_000)
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame.image_rgb))
        people = self._landmarker.detect_for_video(image, self._last_ms).pose_landmarks
        height, width = frame.image_rgb.shape[:2]
        values = np.array(
            [[(mark.x, mark.y, mark.visibility) for mark in person] for person in people], dtype=np.float32
        ).reshape(len(people), N_JOINTS, 3)
        # MediaPipe's x is 0 at the left edge of the left pixel, ours at its centre
        keypoints_px = values[..., :2] * np.array([width, height], dtype=np.float32) - np.float32(0.5)
        return Detections(keypoints_px, np.clip(values[..., 2], 0.0, 1.0))

    def close(self) -> None:
        self._landmarker.close()


def check() -> str:
    """What the doctor wants to know: which model would run. Raises FileNotFoundError."""
    return f"MediaPipe {mp.__version__}, {bundle_path()}"
