"""The pipeline that a configuration, or a recording, asks for: the same one live, replayed and reprocessed."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from calibration.rig import CameraRig
from configs.schema import Config
from lifter.errors import LifterError
from lifter.runtime import DEFAULT, Lifter, load
from lifter.skeleton import SKELETONS, Skeleton
from nodes.sessions.reader import SessionReader
from nodes.stages.pipeline import FusionPipeline


def pipeline_for(
    config: Config,
    rig: CameraRig | None,
    skeleton: Skeleton | None = None,
    lifter: Lifter | None = None,
    ticks_ns: Sequence[int] = (),
) -> FusionPipeline:
    """skeleton: of the keypoints; default, the detector's. lifter: None where there is none, or none is wanted.

    ticks_ns: instants to fuse, in place of the even grid.

    Raises CalibrationError that names the camera which is not in the rig.
    """
    return FusionPipeline(
        rig,
        tuple(config.cameras),
        config.fusion,
        skeleton or SKELETONS[config.detector.skeleton],
        config.crop_offset_px,
        lifter=lifter if config.fusion.lift else None,
        ticks_ns=ticks_ns,
    )


def live_pipeline(config: Config, rig: CameraRig | None, skeleton: Skeleton | None = None) -> FusionPipeline:
    """The same with the lifter that the configuration asks for. Raises LifterError, too."""
    skeleton = skeleton or SKELETONS[config.detector.skeleton]
    return pipeline_for(config, rig, skeleton, load(skeleton=skeleton) if config.fusion.lift else None)


def recorded_pipeline(session: SessionReader) -> FusionPipeline:
    """The one that a recording was made with. Raises SessionError, too."""
    config, skeleton = session.config(), session.skeleton()
    lifter, _ = usable_lifter(skeleton or SKELETONS[config.detector.skeleton]) if config.fusion.lift else (None, "off")
    return pipeline_for(config, session.rig(), skeleton, lifter)


def usable_lifter(skeleton: Skeleton, weights: Path = DEFAULT) -> tuple[Lifter | None, str]:
    """The lifter and what it runs on, or None and why not: a recording may be of joints that it does not know."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None, 'none, onnxruntime is not installed: pip install "livepose3d[fusion]"'
    try:
        lifter = load(weights, skeleton=skeleton)
    except LifterError as error:
        return None, f"none: {error}"
    return lifter, lifter.runs_on
