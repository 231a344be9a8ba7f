"""The 2D poses of each person of a session, as the lifter is trained on."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from calibration.synthetic import ring_rig
from lifter.datasets.neutral import load_neutral, save_neutral
from lifter.skeleton import MEDIAPIPE33
from nodes.exporting.keypoints_file import KeypointsOfPeople
from nodes.wire.messages import Keypoints2D, Person3D, Pose3D
from tests import messages as make

TICKS, PERIOD_NS = 30, 33_333_333
RIG = ring_rig(3, 4.0, 2.0, (1280, 720), 900.0)


def people_m(t_s: float) -> npt.NDArray[np.float64]:
    """(2, 33, 3): two people side by side, who walk along x."""
    rng = np.random.default_rng(3)
    body = rng.uniform((-0.3, -0.2, 0.1), (0.3, 0.2, 1.7), (33, 3))
    return np.stack([body + np.array([t_s, -0.6, 0.0]), body + np.array([-t_s, 0.6, 0.0])])


def keypoints_at(camera: int, ns: int, seq: int) -> Keypoints2D:
    px = RIG.cameras[camera].project(people_m(ns * 1e-9))
    order = [1, 0] if camera == 1 else [0, 1]  # detections come in any order
    return make.keypoints(
        source=RIG.names[camera],
        seq=seq,
        captured_ns=make.START_NS + ns,
        size_wh=(1280, 720),
        keypoints_px=px[order].astype(np.float32),
        confidence=np.full((2, 33), 0.9, np.float32),
    )


def pose_at(ns: int, seq: int) -> Pose3D:
    full: dict[str, Any] = {"sigma_m": np.full(33, 0.01, np.float32), "reprojection_px": np.ones(33, np.float32)}
    bits: dict[str, Any] = {"views": np.full(33, 7, np.uint32), "origin": np.full(33, 2, np.uint8)}
    people = tuple(
        Person3D(id=5 + p, joints_m=joints_m.astype(np.float32), **full, **bits)
        for p, joints_m in enumerate(people_m(ns * 1e-9))
    )
    return make.pose(seq=seq, captured_ns=make.START_NS + ns, skeleton="mediapipe33", people=people, cameras=RIG.names)


@pytest.fixture(scope="module")
def recordings():
    people = KeypointsOfPeople(RIG, MEDIAPIPE33, max_gap_ns=300_000_000)
    for tick in range(TICKS):
        gap_ns = 0 if tick < 20 else 2_000_000_000  # nobody is fused for two seconds
        for camera in range(3):  # out of phase: what is taken is between two frames
            ns = tick * PERIOD_NS + gap_ns + (camera + 1) * 5_000_000
            people.feed([keypoints_at(camera, ns, tick)])
        if tick > 0:
            people.feed([pose_at(tick * PERIOD_NS + gap_ns, tick)])
    return people.recordings("walk", 30.0)


def test_each_person_has_the_own_detections_of_all_cameras_at_the_instant_of_the_pose(recordings):
    assert set(recordings) == {5, 6}
    for p, recording in enumerate(recordings.values()):
        for row, tick in ((0, 1), (10, 11)):
            expected_px = RIG.project(people_m(tick * PERIOD_NS * 1e-9)[p])  # (C, J, 2)
            assert np.abs(recording.keypoints_px[row] - expected_px).max() < 0.1
            assert (recording.confidence[row] > 0.8).all()


def test_time_that_breaks_off_begins_a_new_chunk(recordings):
    chunks = recordings[5].chunk
    assert sorted(set(chunks.tolist())) == [0, 1]
    assert np.flatnonzero(np.diff(chunks)).tolist() == [18]


def test_the_lifter_s_data_reader_takes_the_file(recordings, tmp_path):
    path = tmp_path / "walk.npz"
    save_neutral(recordings[6], path)
    (again,) = load_neutral(path)
    assert again.rig.names == RIG.names
    assert again.skeleton.joints == MEDIAPIPE33.joints
    assert np.allclose(again.keypoints_px, recordings[6].keypoints_px, equal_nan=True)
    assert again.fps == 30.0


def test_a_detection_far_from_everybody_is_nobody_s():
    people = KeypointsOfPeople(RIG, MEDIAPIPE33, max_gap_ns=300_000_000)
    for camera in range(3):
        message = keypoints_at(camera, 0, 0)
        off_px = message.keypoints_px + (400 if camera == 2 else 0)
        people.feed([make.keypoints(**{**vars(message), "keypoints_px": off_px.astype(np.float32)})])
    people.feed([pose_at(0, 0)])
    confidence = people.recordings("walk", 30.0)[5].confidence[0]
    assert (confidence[:2] > 0).all()
    assert (confidence[2] == 0).all()
