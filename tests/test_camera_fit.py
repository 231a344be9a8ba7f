"""How far each camera's keypoints are off what was fused."""

import math

import numpy as np

from calibration.triangulate import RigArrays
from configs import schema
from lifter.skeleton import MEDIAPIPE33
from nodes.stages.camera_fit import CameraFit
from nodes.stages.pipeline import FusionPipeline
from tests import crowd
from tests.keypoints import rig_of, stream

RIG = crowd.rig_of(4)
ARRAYS = RigArrays.of(RIG)
JOINTS_M = np.concatenate([actor.joints_m(1.0) for actor in crowd.actors(2, apart_m=2.0)])


def seen(off_px=0.0, camera=1):
    found_px = RIG.project(JOINTS_M)
    found_px[camera, ..., 0] += off_px
    return crowd.detected(RIG, found_px)


def test_a_camera_is_off_by_what_its_keypoints_are_off():
    fit = CameraFit(4)
    fit.take(ARRAYS, seen(off_px=20.0), JOINTS_M)
    assert fit.px(0) < 0.01
    assert 18 < fit.px(1) < 22


def test_nobody_and_nan_say_nothing():
    fit = CameraFit(4)
    fit.take(ARRAYS, seen(), JOINTS_M[:0])
    fit.take(ARRAYS, seen(), np.full_like(JOINTS_M, np.nan))
    assert math.isnan(fit.px(0))
    some_m = JOINTS_M.copy()
    some_m[:, :10] = np.nan
    fit.take(ARRAYS, seen(), some_m)
    assert fit.px(0) < 0.01


def test_fusion_tells_it_of_each_camera_and_the_lifter_it_has():
    rig = rig_of(4)
    pipeline = FusionPipeline(rig, rig.names, schema.Fusion(lift=False), MEDIAPIPE33)
    for message in stream(rig, noise_px=3.0):
        pipeline.push(message)
    health = pipeline.health(0)
    assert health.lifter == "off"
    assert all(1 < camera.reprojection_px < 6 for camera in health.cameras.values())
