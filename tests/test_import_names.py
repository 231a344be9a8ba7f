"""Which folder, file or column is which camera."""

import pytest

from nodes.importing.camera_names import in_order, matched, named, usable
from nodes.sessions.errors import SessionError


@pytest.mark.parametrize(
    ("found", "calibrated", "pairs"),
    [
        (["left", "right"], ["right", "left", "door"], {"left": "left", "right": "right"}),
        (["cam1", "cam2"], ["cam_01", "cam_02"], {"cam1": "cam_01", "cam2": "cam_02"}),
        (["Cam-1", "cam10"], ["cam10", "cam1"], {"Cam-1": "cam1", "cam10": "cam10"}),
        (["cam01", "cam02"], ["int_cam01_img", "int_cam02_img"], {"cam01": "int_cam01_img", "cam02": "int_cam02_img"}),
        (["0", "2"], ["cam_0", "cam_1", "cam_2"], {"0": "cam_0", "2": "cam_2"}),
        (["1"], ["1", "cam_1"], {"1": "1"}),
    ],
)
def test_the_same_name_then_the_same_spelling_then_the_same_number(found, calibrated, pairs):
    assert matched(found, calibrated, "folder") == pairs


@pytest.mark.parametrize(
    ("found", "calibrated"),
    [
        (["a", "b"], ["left", "right"]),
        (["cam1", "door"], ["cam_1", "cam_2"]),  # one rule for all
        (["cam1", "cam01"], ["cam_1", "cam_2"]),
        (["cam1"], ["take1_cam", "other1"]),
        (["cam1", "cam2"], ["cam1"]),
        (["2024_cam1"], ["cam1"]),
    ],
)
def test_what_cannot_be_told_is_asked_for_with_both_lists(found, calibrated):
    with pytest.raises(SessionError) as refusal:
        matched(found, calibrated, "folder")
    assert ", ".join(found) in str(refusal.value)
    assert ", ".join(calibrated) in str(refusal.value)
    assert "--names" in str(refusal.value)


def test_given_names_must_be_as_many_known_and_different():
    assert named(["x", "y"], ["b", "a"], ["a", "b", "c"], "video") == {"x": "b", "y": "a"}
    for names, told in ((["a"], "1 names"), (["a", "d"], "no camera 'd'"), (["a", "a"], "only once")):
        with pytest.raises(SessionError, match=told):
            named(["x", "y"], names, ["a", "b", "c"], "video")


def test_names_are_made_fit_for_a_configuration_or_refused():
    assert usable(["left", "Miqus 3 (21)", "hub", "ä"]) == {
        "left": "left",
        "Miqus 3 (21)": "Miqus_3_21_",
        "hub": "hub_camera",
        "ä": "_",
    }
    with pytest.raises(SessionError, match="rename them"):
        usable(["a b", "a_b"])


def test_files_are_counted_as_people_do():
    assert in_order(["cam10", "cam2", "cam1"]) == ["cam1", "cam2", "cam10"]
