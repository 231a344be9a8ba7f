"""MediaPipe behind the detector protocol: a rendered person is found where it is; nothing is fetched from anywhere."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.rig_file import load_rig
from configs import schema
from configs.errors import ConfigError
from lifter.skeleton import LIMB_JOINTS, MEDIAPIPE33, SKELETONS
from lifter.synthetic import SYNTHETIC_JOINTS
from nodes.detect.mediapipe_models import Look, Models
from nodes.detect.opening import DETECTORS, open_detector
from nodes.detect.pose_bundle import bundle_path
from nodes.detect.regions import Regions, regions_at
from nodes.sources.clip import Clip
from nodes.sources.source import Frame
from nodes.sources.virtual.render import Renderer
from nodes.sources.virtual.scene import stage
from nodes.stages.expectation import expect

DEMO = Path(schema.__file__).parent / "demo"
START_NS = 1_700_000_000_000_000_000
PATIENCE_S = 60.0

FIRST_START = """
import os, sys
import numpy as np
import psutil
from configs import schema
from nodes.detect.opening import open_detector
from nodes.detect.pose_bundle import bundle_path
from nodes.sources.source import Frame

print("go", flush=True)
sys.stdin.readline()
path = bundle_path()
print(path, flush=True)
if sys.argv[1] == "detect":
    detector = open_detector(schema.Detector())
    found = detector.detect(Frame(np.zeros((480, 640, 3), np.uint8), 1, 0))
    print(len(found.confidence), psutil.Process().net_connections("all"))
    detector.close()
"""


def frame_of(camera: str, number: int) -> Frame:
    """A picture of the demo clip of one camera."""
    clip = Clip(DEMO / f"{camera}.mp4")
    try:
        for _ in range(number + 1):
            picture = clip.next()
        assert picture is not None
        return Frame(picture.to_rgb(), START_NS + picture.offset_ns, number)
    finally:
        clip.close()


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    with np.load(DEMO / "truth.npz") as arrays:
        return {name: arrays[name] for name in ("gt3d", "gt_joints", "frame_time", "cameras")}


@pytest.fixture
def detector():
    opened = open_detector(schema.Detector())
    yield opened
    opened.close()


def test_every_kind_of_the_configuration_is_in_the_table():
    kinds = schema.Detector.model_fields["kind"].annotation
    assert set(DETECTORS) == set(getattr(kinds, "__args__", ()))


def test_a_person_is_found_where_it_is(detector, truth):
    """Twelve limb joints against the exact ones, seen through the calibration: median 15 px of 640×480 at most."""
    number = 40
    frame = frame_of("front", number)
    found = detector.detect(frame)
    assert found.keypoints_px.shape == (1, 33, 2)
    assert found.confidence.shape == (1, 33)
    assert found.keypoints_px.dtype == found.confidence.dtype == np.float32
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    column = list(truth["cameras"]).index("front")
    assert truth["frame_time"][number, column] == pytest.approx((frame.captured_ns - START_NS) * 1e-9, abs=1e-3)
    names = list(truth["gt_joints"])
    joints_m = truth["gt3d"][number, 0, [names.index(joint) for joint in LIMB_JOINTS]].astype(np.float64)
    expected_px = load_rig(DEMO / "rig.toml")["front"].project(joints_m)
    limbs_px = found.keypoints_px[0, SKELETONS[detector.skeleton].limb_indices()]
    errors_px = np.linalg.norm(limbs_px - expected_px, axis=1)
    assert np.median(errors_px) < 15


def test_an_empty_picture_holds_nobody(detector):
    found = detector.detect(Frame(np.zeros((480, 640, 3), np.uint8), START_NS, 0))
    assert found.keypoints_px.shape == (0, 33, 2)
    assert found.confidence.shape == (0, 33)


def test_a_clock_that_goes_back_or_stands_still_does_no_harm(detector):
    frame = frame_of("front", 40)
    for captured_ns in (START_NS, START_NS, START_NS - 10**12, 5, 0, START_NS + 10**15, START_NS):
        found = detector.detect(Frame(frame.image_rgb, captured_ns, 0))
        assert len(found.confidence) == 1


def test_pictures_of_any_layout_and_size_are_taken(detector):
    picture = frame_of("front", 40).image_rgb
    taken: list[Any] = [picture[:, ::-1], picture[::2, ::2], np.asfortranarray(picture), picture[:, :1]]
    for number, image in enumerate(taken):
        detector.detect(Frame(image, START_NS + number * 10**9, number))


NOBODY_YET = Regions(np.empty(0, dtype=np.int64), np.empty((0, 4)))


@pytest.fixture(scope="module")
def two_actors() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """A picture (H, W, 3) of two people more than a metre apart, and their landmarks (2, 33, 3) in metres."""
    rig = load_rig(DEMO / "rig.toml")
    scene = stage(rig, "demo", n_actors=2)
    landmarks = [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]
    return Renderer(scene, rig["front"]).image_at(0.0), scene.joints_at(0.0)[0][:, landmarks]


def limb_errors_px(found, joints_m) -> np.ndarray:  # type: ignore[type-arg]
    """(P, P'): median distance over the limb joints of each detection from each person."""
    limbs = MEDIAPIPE33.limb_indices()
    truth_px = load_rig(DEMO / "rig.toml")["front"].project(joints_m)[:, limbs]
    return np.median(np.linalg.norm(found.keypoints_px[:, None, limbs] - truth_px[None], axis=3), axis=2)


def test_asked_for_two_people_it_finds_both_and_says_who_is_who(detector, two_actors):
    image_rgb, joints_m = two_actors
    still, sigma_m = np.zeros_like(joints_m), np.full(joints_m.shape[:2], 0.02)
    expected = expect(START_NS, [31, 32], joints_m, still, sigma_m, load_rig(DEMO / "rig.toml"), MEDIAPIPE33)
    for number in range(3):
        captured_ns = START_NS + number * 40_000_000
        regions = regions_at(expected, "front", captured_ns, (640, 480))
        found = detector.detect(Frame(image_rgb, captured_ns, number), regions)
        assert sorted(found.asked_ids) == [31, 32]
        errors_px = limb_errors_px(found, joints_m)
        for detection, asked_id in enumerate(found.asked_ids):
            assert errors_px[detection, asked_id - 31] < 6
        assert found.confidence.dtype == found.keypoints_px.dtype == np.float32


def test_joints_behind_somebody_nearer_are_left_for_guesses():
    """The farther one stands a little aside: one half of that body is to be seen."""
    rig = load_rig(DEMO / "rig.toml")
    camera = rig["back"]
    scene = stage(rig, "demo")
    away = camera.T_world_cam[:2, 2] / np.linalg.norm(camera.T_world_cam[:2, 2])
    aside = np.array([away[1], -away[0]])
    actors = tuple(replace(scene.actors[0], offset_m=tuple(at)) for at in (-0.5 * away, 0.9 * away + 0.35 * aside))
    both = replace(scene, actors=actors)
    joints_m = both.joints_at(0.0)[0][:, [SYNTHETIC_JOINTS.index(joint) for joint in MEDIAPIPE33.joints]]
    sigma_m = np.full(joints_m.shape[:2], 0.02)
    expected = expect(START_NS, [1, 2], joints_m, np.zeros_like(joints_m), sigma_m, rig, MEDIAPIPE33)
    view = expected.cameras["back"]
    assert view.ids.tolist() == [1, 2]
    models = Models(bundle_path(), schema.Detector())
    try:
        look = Look(models, Renderer(both, camera).image_at(0.0))
        near = look.person_at(view.circles[0].astype(np.float64), ())
        assert near is not None
        far = look.person_at(view.circles[1].astype(np.float64), (near,))
        assert far is not None
    finally:
        models.close()
    limbs = MEDIAPIPE33.limb_indices()
    errors_px = np.linalg.norm(far.keypoints_px - camera.project(joints_m[1]), axis=1)[limbs]
    seen = far.confidence[limbs] > 0.3
    assert 3 <= seen.sum() < 12
    assert np.median(errors_px[seen]) < 10
    assert (near.confidence[limbs] > 0.3).sum() > seen.sum()


def test_told_that_nobody_is_known_it_finds_both_by_itself_within_a_round_of_searches(detector, two_actors):
    image_rgb, joints_m = two_actors
    for number in range(2 * schema.Detector().search_every + 1):
        found = detector.detect(Frame(image_rgb, START_NS + number * 40_000_000, number), NOBODY_YET)
        assert set(found.asked_ids) == {-1}
    assert len(found.confidence) == 2
    assert (limb_errors_px(found, joints_m).min(axis=0) < 6).all()


def test_asked_for_somebody_who_is_not_there_it_finds_nobody(detector):
    black = Frame(np.zeros((480, 640, 3), np.uint8), START_NS, 0)
    found = detector.detect(black, Regions(np.array([5]), np.array([[320.0, 240.0, 150.0, 0.0]])))
    assert found.keypoints_px.shape == (0, 33, 2)
    assert found.confidence.shape == (0, 33)
    assert found.asked_ids == ()


def test_a_leaning_person_is_read_in_a_turned_circle(detector, two_actors):
    """The picture on its side: crops follow the spine, so the landmarks lie down with it."""
    image_rgb, joints_m = two_actors
    upright = detector.detect(Frame(image_rgb, START_NS, 0), NOBODY_YET)
    lying_rgb = np.rot90(image_rgb, -1)  # clockwise: x' = H - 1 - y, y' = x
    px = load_rig(DEMO / "rig.toml")["front"].project(joints_m)[0]
    hips_px, shoulders_px = px[[23, 24]].mean(axis=0), px[[11, 12]].mean(axis=0)
    radius = np.linalg.norm(px - hips_px, axis=1).max()
    spine = shoulders_px - hips_px
    circle = [479 - hips_px[1], hips_px[0], radius, np.arctan2(spine[0], -spine[1]) + np.pi / 2]
    lying = detector.detect(Frame(lying_rgb, START_NS + 10**9, 1), Regions(np.array([3]), np.array([circle])))
    found_px = lying.keypoints_px[lying.asked_ids.index(3)]
    back_px = np.stack([found_px[:, 1], 479 - found_px[:, 0]], axis=1)
    limbs = MEDIAPIPE33.limb_indices()
    assert np.median(np.linalg.norm(back_px[limbs] - px[limbs], axis=1)) < 6
    assert len(upright.asked_ids) > 0


def test_without_feedback_in_the_configuration_regions_are_not_looked_at(two_actors):
    image_rgb, _ = two_actors
    alone = open_detector(schema.Detector(feedback=False))
    try:
        found = alone.detect(Frame(image_rgb, START_NS, 0), NOBODY_YET)
        assert len(found.confidence) == 1
        assert found.asked_ids == ()
    finally:
        alone.close()


def test_regions_at_the_border_and_pictures_of_any_size_are_taken(detector):
    picture = frame_of("front", 40).image_rgb
    circles = np.array([(-50.0, 100.0, 120.0, 0.3), (639.0, 479.0, 5.0, -3.0), (320.0, 240.0, 2000.0, 9.0)])
    for number, image in enumerate((picture, picture[::2, ::2], picture[:, :1], picture[:1], picture[:, ::-1])):
        detector.detect(Frame(image, START_NS + number * 10**9, number), Regions(np.arange(3), circles))


def test_a_model_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"detector\.task_file /nowhere/x\.task does not exist: leave it out"):
        open_detector(schema.Detector(task_file=Path("/nowhere/x.task")))


@pytest.mark.parametrize("content", [b"a text, no model", b"", "bundle"], ids=["text", "empty", "other bundle"])
def test_a_model_file_that_is_none_is_named_as_a_fault_of_the_configuration(tmp_path, content):
    path = tmp_path / "broken.task"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("hand.tflite", b"none")
    with pytest.raises(
        ConfigError, match=r"detector\.task_file .*broken\.task is no pose_landmarker bundle .*leave it out"
    ):
        open_detector(schema.Detector(task_file=path))


def test_on_a_fresh_machine_two_processes_make_one_model_file_and_open_no_connection(tmp_path):
    """Both are let go at the same instant, with an empty cache."""
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(schema.__file__).parent.parent)}
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_START, what],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what in ("detect", "look")
    ]
    try:
        for process in starts:
            assert process.stdout is not None
            assert process.stdout.readline() == "go\n"
        for process in starts:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        lines = [process.communicate(timeout=PATIENCE_S)[0].splitlines() for process in starts]
    finally:
        for process in starts:
            process.kill()
            process.wait()
    assert [process.returncode for process in starts] == [0, 0]
    assert lines[0][0] == lines[1][0]
    path = Path(lines[0][0])
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "no half-made file is left"
    assert path.parent.parent == tmp_path
    with zipfile.ZipFile(path) as bundle:
        assert sorted(bundle.namelist()) == ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
        assert bundle.testzip() is None
    assert lines[0][1] == "0 []", "nobody in a black picture, and no socket of any kind"
