"""What settings choose among files, and what they are told when they choose nothing."""

import warnings
from dataclasses import replace

import numpy as np
import pydantic
import pytest

from configs.training_data import Recordings
from lifter.datasets.errors import DatasetError
from lifter.datasets.neutral import save_neutral
from lifter.datasets.select import select
from lifter.skeleton import BODY17, H36M17, MEDIAPIPE33
from tests.multiview_files import actor_recording, neutral_arrays, save, save_pickled, truth_m


@pytest.fixture
def folder(tmp_path):
    for subject in ("S1", "S5", "S9"):
        save_neutral(actor_recording(noise_px=5.0), tmp_path / f"h36m_{subject}_10hz.npz")
    (tmp_path / "README.txt").write_text("not a recording")
    return tmp_path


@pytest.fixture(autouse=True)
def _no_silent_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def names(recordings):
    return [recording.name for recording in recordings]


def test_files_are_chosen_by_patterns_once_each_in_order(folder):
    settings = Recordings(files=["h36m_S9_*.npz", "h36m_S[15]_*.npz", "h36m_S1_10hz.npz"])
    assert names(select(settings, folder)) == ["h36m_S1_10hz", "h36m_S5_10hz", "h36m_S9_10hz"]
    (folder / "deep").mkdir()
    (folder / "h36m_S9_10hz.npz").rename(folder / "deep" / "h36m_S9_10hz.npz")
    assert names(select(Recordings(files=["**/h36m_S9_*.npz"]), folder)) == ["h36m_S9_10hz"]


def test_frames_are_chosen_by_action(folder):
    recordings = select(Recordings(files=["*.npz"], actions=["Boxing"]), folder)
    assert len(recordings) == 3
    assert all(set(recording.action) == {"Boxing"} and len(recording.action) == 6 for recording in recordings)


def test_an_action_goes_by_its_words_whatever_number_follows(tmp_path):
    labels = ["Walking", "walking 1", "Walking_2", "Walking 1 chunk0", "WalkingDog", "WalkTogether", "Sitting Down"]
    labels += ["Boxing", "Eating", "Eating out", "Walking-Dog 1", "Waiting"]
    save_neutral(replace(actor_recording(), action=np.array(labels)), tmp_path / "a.npz")

    def chosen(*actions):
        (recording,) = select(Recordings(files=["a.npz"], actions=list(actions)), tmp_path)
        return list(recording.action)

    assert chosen("Walking") == labels[:4]
    assert chosen("walking 1") == [labels[1], labels[3]]
    assert chosen("WALKINGDOG", "Walking_2") == ["Walking_2", "WalkingDog"]
    assert chosen("Box") == ["Boxing"], "nothing is called Box"
    assert chosen("Sitting") == ["Sitting Down"], "nothing is Sitting"
    assert chosen("Eating") == ["Eating"]
    assert chosen("WalkTo") == ["WalkTogether"]


def test_recordings_without_a_wanted_action_are_left_out(folder):
    save_neutral(replace(actor_recording(), action=np.full(12, "Eating")), folder / "h36m_S6_10hz.npz")
    settings = Recordings(files=["*.npz"], actions=["eating"])
    assert names(select(settings, folder)) == ["h36m_S6_10hz"]


def test_2d_is_as_detected_or_projected(folder):
    clean = actor_recording().keypoints_px
    for keypoints, noise_px in (("detected", 5.0), ("projected", 0.0)):
        (recording,) = select(Recordings(files=["*S1_*"], keypoints=keypoints), folder)
        assert np.std(recording.keypoints_px - clean) == pytest.approx(noise_px, rel=0.1, abs=1e-3)


def test_steps_cameras_and_skeleton(folder):
    save_neutral(actor_recording(MEDIAPIPE33), folder / "m.npz")
    settings = Recordings(files=["m.npz"], every=5, cameras=["cam_2", "cam_1"])
    (recording,) = select(settings, folder, BODY17)
    assert recording.rig.names == ("cam_2", "cam_1")
    assert recording.keypoints_px.shape == (3, 2, 17, 2)
    assert recording.skeleton == BODY17
    assert recording.fps == 6.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": ["hm36_*.npz"]}, r"no file matches hm36_\*.npz; it has h36m_S1_10hz.npz, h36m_S5_10hz.npz"),
        ({"files": ["/etc/*"]}, "the pattern '/etc/\\*' is not one of names within"),
        ({"files": ["*.npz"], "actions": ["Flying"]}, "no frame is of the actions Flying; there are Boxing, Walking"),
        ({"files": ["*.npz"], "cameras": ["left"]}, "no camera 'left'.* it has cam_0, cam_1, cam_2"),
        ({"files": ["*.txt"]}, "README.txt: damaged, or no .npz"),
        ({"files": ["*.npz"], "layout": "videopose3d"}, "not called as VideoPose3D's.*`layout: neutral`"),
    ],
)
def test_what_matches_nothing_says_what_there_is(folder, settings, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DatasetError, match=message):
            select(Recordings(**settings), folder)


def test_a_pattern_or_an_action_that_matches_nothing_is_told(folder):
    with pytest.warns(UserWarning, match="no file matches 'h36m_S6_"):
        assert len(select(Recordings(files=["h36m_S1_*", "h36m_S6_*"]), folder)) == 1
    with pytest.warns(UserWarning, match="no frame is of the action 'Wlaking'; there are Boxing, Walking"):
        assert len(select(Recordings(files=["*.npz"], actions=["Wlaking", "Boxing"]), folder)) == 3


def test_a_folder_that_is_none_and_a_recording_without_detections_are_refused(folder):
    with pytest.raises(DatasetError, match="elsewhere does not exist; give it with --data"):
        select(Recordings(files=["*"]), folder / "elsewhere")
    good = actor_recording()
    save_neutral(replace(good, confidence=0 * good.confidence), folder / "a.npz")
    with pytest.raises(DatasetError, match="a: no camera sees anything; set `keypoints: projected`"):
        select(Recordings(files=["a.npz"]), folder)
    assert len(select(Recordings(files=["a.npz"], keypoints="projected"), folder)) == 1


def test_files_without_a_person_are_refused(tmp_path):
    arrays = neutral_arrays(actor_recording())
    nobody = {"keypoints2d": arrays["keypoints2d"][:, :, :0], "gt3d": arrays["gt3d"][:, :0]}
    save(tmp_path / "empty.npz", arrays, **nobody)
    with pytest.raises(DatasetError, match=r"there is no person in .*empty\.npz"):
        select(Recordings(files=["empty.npz"]), tmp_path)


def test_videopose3d_is_chosen_by_subject_and_action(tmp_path):
    truth = truth_m(H36M17)
    content = {s: dict.fromkeys(("Walking", "Walking 1", "WalkDog"), truth) for s in ("S1", "S5", "S9")}
    save_pickled(tmp_path / "data_3d_h36m.npz", positions_3d=content)
    settings = Recordings(
        layout="videopose3d",
        files=["data_3d_h36m.npz"],
        subjects=["S1", "S9"],
        actions=["Walking"],
        keypoints="projected",
        every=5,
    )
    recordings = select(settings, tmp_path)
    assert names(recordings) == ["h36m/S1/Walking", "h36m/S1/Walking 1", "h36m/S9/Walking", "h36m/S9/Walking 1"]
    assert all(recording.fps == 10.0 and len(recording.chunk) == 3 for recording in recordings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"files": []}, "at least 1"),
        ({"files": ["a"], "every": 0}, "greater than 0"),
        ({"files": ["a"], "keypoints": "best"}, "detected"),
        ({"files": ["a"], "subjects": ["S1"]}, "choose neutral files by their names"),
        ({"files": ["a"], "action": ["Walking"]}, "Extra inputs"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        Recordings(**settings)


def test_a_label_that_is_hard_to_match_costs_no_time(tmp_path):
    labels = np.full(12, "Walking" + "1" * 200 + "!x")
    save_neutral(replace(actor_recording(), action=labels), tmp_path / "a.npz")
    assert len(select(Recordings(files=["a.npz"], actions=["Walking"]), tmp_path)) == 1
