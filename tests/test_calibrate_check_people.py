import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from calibration import rigid
from calibration.errors import CalibrationError
from calibration.people.track import PersonTrack
from calibration.rig import CameraRig
from calibration.rig_file import save_rig
from calibration.stature import limb_lengths_m, stature_m
from lifter.skeleton import LIMB_JOINTS, MEDIAPIPE33
from nodes.calibrating.check_people import check_people
from nodes.calibrating.person_input import PersonSeen, person_of
from nodes.commands import calibrate_check
from tests.board_views import rig_of

POSE2SIM = Path(__file__).parents[2] / "shared" / "data" / "pose2sim"
FPS, SECONDS = 30.0, 8.0
HEIGHTS_M = {"shoulder": 1.44, "elbow": 1.12, "wrist": 0.87, "hip": 0.93, "knee": 0.51, "ankle": 0.09}
NOISE_PX = 3.0


def joints_m(at_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, 12, 3) somebody of 1.75 m who walks in a circle and swings arms and legs."""
    out = np.empty((len(at_s), len(LIMB_JOINTS), 3))
    turn = 0.8 * at_s
    ahead = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    aside = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for j, joint in enumerate(LIMB_JOINTS):
        side, part = joint.split("_")
        sign = 1.0 if side == "left" else -1.0
        reach = (1.45 - HEIGHTS_M[part]) if part in {"elbow", "wrist"} else max(0.0, 0.93 - HEIGHTS_M[part])
        swing = 0.3 * reach * sign * np.sin(6.0 * at_s)
        wide = 0.18 if part in {"shoulder", "elbow", "wrist"} else 0.12
        out[:, j, :2] = 0.7 * aside + sign * wide * aside + swing[:, None] * ahead
        out[:, j, 2] = HEIGHTS_M[part]
    return out


def person(rig: CameraRig, seed: int = 0) -> PersonSeen:
    """Each camera begins at its own moment."""
    rng = np.random.default_rng(seed)
    tracks = []
    for camera in rig.cameras:
        at_s = rng.uniform(0.0, 1 / FPS) + np.arange(int(SECONDS * FPS)) / FPS
        px = camera.project(joints_m(at_s))
        px = px + rng.normal(0.0, NOISE_PX, px.shape)
        tracks.append(PersonTrack(camera.name, at_s, px, np.full(px.shape[:2], 0.9), LIMB_JOINTS))
    return PersonSeen(tuple(tracks), tuple(camera.size_wh for camera in rig.cameras), rig, 0.0)


@pytest.fixture(scope="module")
def walk() -> PersonSeen:
    return person(rig_of())


def test_a_true_rig_is_good_and_the_person_of_usual_height(walk: PersonSeen):
    report = check_people(rig_of(), walk, "")
    assert report.judgement.verdict == "good"
    assert "about 1.7" in report.notes[-1]
    assert report.held_out is not None
    assert report.held_out.px_p50 < 1.5 * NOISE_PX


def test_a_camera_that_was_turned_is_named(walk: PersonSeen):
    rig = rig_of()
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, np.radians(3.0), 0.0)), (0.0, 0.0, 0.0))
    bumped = replace(rig.cameras[2], T_cam_world=T_new_old @ rig.cameras[2].T_cam_world)
    told = check_people(CameraRig((*rig.cameras[:2], bumped, rig.cameras[3])), walk, "").judgement
    assert told.verdict != "good"
    assert [name for name, camera in told.cameras.items() if camera.verdict != "good"] == ["back"]


def test_a_late_clock_is_told_from_a_wrong_camera(walk: PersonSeen):
    tracks = tuple(
        replace(track, captured_s=track.captured_s + (0.2 if track.camera == "back" else 0.0)) for track in walk.tracks
    )
    report = check_people(rig_of(), replace(walk, tracks=tracks), "")
    assert report.judgement.verdict == "good"
    assert "back +200 ms" in report.notes[0]
    assert report.cameras["back"].offset_ms == pytest.approx(-200.0)


def test_exchanged_cameras_are_named(walk: PersonSeen):
    names = {"front": "left", "left": "front"}
    tracks = tuple(replace(track, camera=names.get(track.camera, track.camera)) for track in walk.tracks)
    told = check_people(rig_of(), replace(walk, tracks=tracks), "").judgement
    assert told.verdict == "redo"
    assert "front and left are exchanged" in told.whole.reasons[0]


@pytest.mark.parametrize(("factor", "words"), [(100.0, "centimetres"), (1 / 0.3048, "feet")])
def test_a_wrong_unit_is_told_and_nothing_else(walk: PersonSeen, factor: float, words: str):
    cameras = []
    for camera in rig_of().cameras:
        T = camera.T_cam_world.copy()
        T[:3, 3] *= factor
        cameras.append(replace(camera, T_cam_world=T))
    told = check_people(CameraRig(tuple(cameras)), walk, "").judgement
    assert told.verdict == "redo"
    assert len(told.whole.reasons) == 1
    assert words in told.whole.advice[0]


def test_somebody_who_stands_still_is_noted(walk: PersonSeen):
    tracks = tuple(replace(t, keypoints_px=np.repeat(t.keypoints_px[:1], len(t.captured_s), 0)) for t in walk.tracks)
    assert "stayed within 0 cm" in check_people(rig_of(), replace(walk, tracks=tracks), "").notes[0]


def test_a_person_seen_by_one_camera_at_a_time_cannot_be_judged(walk: PersonSeen):
    later = tuple(replace(track, captured_s=track.captured_s + 20.0 * c) for c, track in enumerate(walk.tracks))
    with pytest.raises(CalibrationError, match="cannot be judged: two cameras saw the person together at 0 moments"):
        check_people(rig_of(), replace(walk, tracks=later), "")


def test_limbs_tell_the_stature():
    lengths = limb_lengths_m(LIMB_JOINTS, joints_m(np.linspace(0.0, 5.0, 50)))
    assert set(lengths) == {"hip-knee", "knee-ankle", "shoulder-elbow", "elbow-wrist"}
    assert stature_m(lengths) == pytest.approx(1.75, abs=0.08)
    assert np.isnan(stature_m({}))


def test_the_command_checks_a_neutral_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = neutral_file(tmp_path / "walk.npz", people=1)
    assert run("--keypoints", str(path), "--report", str(tmp_path / "report")) == 0
    assert capsys.readouterr().out.startswith("good")
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (told["kind"], told["verdict"], told["board"]) == ("check", "good", None)
    other = tmp_path / "other.toml"
    rig = rig_of()
    save_rig(CameraRig((replace(rig.cameras[0], T_cam_world=rig.cameras[2].T_cam_world), *rig.cameras[1:])), other)
    assert run("--keypoints", str(path), "--calibration", str(other)) == 1


def test_several_people_are_refused(tmp_path: Path):
    with pytest.raises(CalibrationError, match="several people are in 100% of the frames"):
        person_of(neutral_file(tmp_path / "two.npz", people=2))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--videos", "take"], "--board"),
        (["--corners", "c.npz", "--board", "{board}"], "which calibration"),
        (["--keypoints", "missing.npz"], "does not exist"),
        (["--keypoints", "{walk}", "--calibration", "missing.toml"], "does not exist"),
        (["--keypoints", "{walk}", "--calibration", "{rig}", "--board", "{board}"], "12 corners"),
    ],
)
def test_what_is_missing_is_told(arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    board, rig = tmp_path / "board.toml", tmp_path / "rig.toml"
    board.write_text('columns = 4\nrows = 5\nsquare_m = 0.054\nmarker_m = 0.04\ndictionary = "DICT_4X4_50"\n')
    save_rig(rig_of(), rig)
    walk = neutral_file(tmp_path / "walk.npz", people=1)
    assert run(*(text.format(board=board, walk=walk, rig=rig) for text in arguments)) == 2
    assert words in capsys.readouterr().err


@pytest.mark.shared
def test_a_calibration_that_is_known_to_be_off_is_not_good():
    path = POSE2SIM / "pose2sim_single.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/data/pose2sim")
    seen = person_of(path)
    assert seen.rig is not None
    told = check_people(seen.rig, seen, "")
    assert told.judgement.verdict == "usable"
    assert "about 1.6" in told.notes[-1]


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    calibrate_check.add(parser.add_subparsers(required=True))
    options = parser.parse_args(["check", *arguments])
    code: int = options.run(options)
    return code


def neutral_file(path: Path, people: int) -> Path:
    rig, T = rig_of(), int(SECONDS * FPS)
    at_s = np.arange(T) / FPS
    keypoints = np.full((T, 4, people, 33, 3), np.nan, dtype=np.float32)
    for c, camera in enumerate(rig.cameras):
        for p in range(people):
            px = camera.project(joints_m(at_s + 3.0 * p))
            keypoints[:, c, p, MEDIAPIPE33.limb_indices(), :2] = px
            keypoints[:, c, p, MEDIAPIPE33.limb_indices(), 2] = 0.9
    np.savez(
        path,
        cameras=np.array(rig.names),
        K=np.stack([camera.K for camera in rig.cameras]),
        dist=np.stack([camera.dist for camera in rig.cameras]),
        R=np.stack([camera.T_cam_world[:3, :3] for camera in rig.cameras]),
        t=np.stack([camera.T_cam_world[:3, 3] for camera in rig.cameras]),
        image_size=np.array([camera.size_wh for camera in rig.cameras]),
        fps=FPS,
        joints=np.array(MEDIAPIPE33.joints),
        keypoints2d=keypoints,
        person_id_2d=True,
        frames=np.arange(T),
    )
    return path
