"""The one table of detectors: kind in the configuration → how it is made."""

from collections.abc import Callable

from configs import schema
from nodes.detect.detector import Detector


def _mediapipe(settings: schema.Detector) -> Detector:
    from nodes.detect.mediapipe_pose import MediaPipePose  # heavy: loaded where it is chosen

    return MediaPipePose(settings)


DETECTORS: dict[str, Callable[[schema.Detector], Detector]] = {"mediapipe": _mediapipe}


def open_detector(settings: schema.Detector) -> Detector:
    """The detector that the configuration names."""
    return DETECTORS[settings.kind](settings)
