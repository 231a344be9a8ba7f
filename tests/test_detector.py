"""MediaPipe behind the detector protocol: a rendered person is found where it is; nothing is fetched from anywhere."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.rig_file import load_rig
from configs import schema
from configs.errors import ConfigError
from lifter.skeleton import LIMB_JOINTS, SKELETONS
from nodes.detect.opening import DETECTORS, open_detector
from nodes.sources.clip import Clip
from nodes.sources.source import Frame

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
