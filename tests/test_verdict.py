from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration import rigid
from calibration.evidence import evidence_of, pairs_of
from calibration.measure import measured
from calibration.rig import CameraRig
from calibration.sightings import BoardSightings
from calibration.verdict import CameraEvidence, Evidence, Finding, culprit, judged
from tests.board_views import BOARD, board_seen, rig_of

FINE = CameraEvidence(px=0.4, px_p95=1.7, frames=60, instants=50, coverage_share=0.7, angle_deg=60.0, px_without=0.4)
ALL_FINE = dict.fromkeys(("left", "middle", "right"), FINE)


def test_what_is_fine_is_good_without_a_word():
    told = judged(Evidence(ALL_FINE, px=0.4, square_mm=54.0, spacing_mm=54.05))
    assert told.verdict == "good"
    assert told.whole.reasons == ()
    assert told.whole.advice == ()


@pytest.mark.parametrize(
    ("figures", "verdict", "words"),
    [
        ({"px": 1.7}, "usable", "1.7 px"),
        ({"px": 4.0}, "redo", "4.0 px"),
        ({"px_p95": 7.0}, "usable", "5 of 100 beyond 7.0 px"),
        ({"px": 0.02, "px_p95": 20.9}, "redo", "within 0.02 px of where it should, but 5 of 100 beyond 20.9 px"),
        ({"frames": 9}, "usable", "9 frames"),
        ({"instants": 3}, "redo", "3 moments together"),
        ({"coverage_share": 0.12}, "usable", "12% of its picture"),
        ({"angle_deg": 5.0}, "redo", "5 degrees apart"),
        ({"sigma_aim_mm": 4.0}, "usable", "4.0 mm"),
        ({"sigma_aim_mm": 11.0}, "redo", "11.0 mm"),
        ({"px": float("nan")}, "usable", "too little together"),
    ],
)
def test_a_poor_camera_is_named_with_its_figure_and_a_remedy(figures: dict[str, Any], verdict: str, words: str):
    told = judged(Evidence({**ALL_FINE, "right": replace(FINE, **figures)}, px=0.4))
    assert told.verdict == verdict
    assert any(words in reason and "right" in reason for reason in told.whole.reasons)
    assert "right" in told.cameras["right"].advice[0]
    assert told.cameras["left"].verdict == "good"


def test_cameras_that_need_the_same_are_told_in_one_line():
    poor = replace(FINE, coverage_share=0.1)
    told = judged(Evidence({"left": poor, "middle": FINE, "right": poor}, px=0.4))
    assert len(told.whole.advice) == 1
    assert told.whole.advice[0].endswith("left and right")


def test_the_same_of_many_cameras_is_said_once():
    told = judged(Evidence(dict.fromkeys(("a", "b", "c", "d"), replace(FINE, coverage_share=0.1)), px=0.4))
    assert told.whole.reasons == ("a saw the board in 10% of its picture (good: from 30%); likewise b, c and d",)
    assert told.cameras["d"].reasons == ("d saw the board in 10% of its picture (good: from 30%)",)


def test_only_what_is_the_same_is_said_at_once():
    found = [
        Finding("usable", f"the {what} of {name} is known to {n} mm", "record longer: {names}", name)
        for n, name in enumerate(("left", "middle", "right"))
        for what in ("place", "direction")
    ]
    told = judged(Evidence(ALL_FINE, px=0.4), found)
    assert told.whole.reasons == (
        "the place of left is known to 0 mm; likewise middle and right",
        "the direction of left is known to 0 mm; likewise middle and right",
    )
    assert told.whole.advice == ("record longer: left, middle and right",)


def test_what_is_poor_all_over_is_not_told_twice():
    told = judged(Evidence({**ALL_FINE, "right": replace(FINE, px=2.0, px_p95=9.0)}, px=0.4))
    assert len(told.cameras["right"].reasons) == 1


def test_nobody_is_blamed_for_the_camera_that_is_wrong():
    cameras = {
        "left": replace(FINE, px=6.0, px_p95=99.0, px_without=7.0),
        "middle": replace(FINE, px=9.0, px_without=0.5),
        "right": replace(FINE, px=6.0, px_without=5.0),
    }
    evidence = Evidence(cameras, px=7.0)
    assert culprit(evidence) == "middle"
    told = judged(evidence)
    assert told.verdict == "redo"
    assert "middle disagrees" in told.whole.reasons[0]
    assert told.cameras["left"].verdict == "good"


def test_where_all_are_wrong_no_one_is_named():
    cameras = dict.fromkeys(("left", "middle", "right"), replace(FINE, px=6.0, px_without=5.0))
    assert culprit(Evidence(cameras, px=6.0)) is None


def test_where_nothing_fits_cameras_are_not_told_one_by_one():
    cameras = dict.fromkeys(("left", "middle", "right"), replace(FINE, px=90.0, px_without=80.0))
    told = judged(Evidence(cameras, px=90.0, square_mm=54.0, spacing_mm=61.0))
    assert told.verdict == told.cameras["left"].verdict == "redo"
    assert told.whole.reasons == ("nothing fits: what cameras see lies 90.0 px from where it should",)
    assert "another set-up" in told.whole.advice[0]


def test_a_camera_without_a_link_to_the_others_is_named():
    pairs = {("left", "middle"): 40, ("left", "right"): 0, ("middle", "right"): 0}
    told = judged(Evidence(ALL_FINE, px=0.4, pairs=pairs))
    assert told.verdict == "redo"
    assert told.cameras["right"].reasons == ("right never sees the board together with the other cameras",)
    assert told.cameras["left"].verdict == "good"


@pytest.mark.parametrize(
    ("spacing_mm", "verdict", "words"),
    [
        (54.4, "usable", "measure the printed squares"),
        (56.0, "redo", "measure the printed squares"),
        (27.0, "redo", "multiplied by 2"),
        (5400.0, "redo", "centimetres"),
        (54000.0, "redo", "millimetres"),
    ],
)
def test_the_wrong_scale_is_told(spacing_mm: float, verdict: str, words: str):
    told = judged(Evidence(ALL_FINE, px=0.4, square_mm=54.0, spacing_mm=spacing_mm))
    assert told.verdict == verdict
    assert words in told.whole.advice[0]


def test_a_giant_is_a_wrong_unit():
    told = judged(Evidence(ALL_FINE, px=0.4, stature_m=171.0))
    assert told.verdict == "redo"
    assert "centimetres" in told.whole.advice[0]


def test_what_was_found_elsewhere_counts():
    told = judged(Evidence(ALL_FINE, px=0.4), [Finding("redo", "left is mirrored", "switch it off in {names}", "left")])
    assert told.verdict == "redo"
    assert told.cameras["left"].advice == ("switch it off in left",)


def test_evidence_finds_the_camera_that_was_bumped():
    rig = rig_of()
    seen = board_seen(rig, noise_px=0.3)
    T_new_old = rigid.from_rotation(rigid.rotation_from_rotvec((0.0, np.radians(1.0), 0.0)), (0.0, 0.0, 0.0))
    bumped = replace(rig.cameras[1], T_cam_world=T_new_old @ rig.cameras[1].T_cam_world)
    assert _judged(rig, seen).verdict == "good"
    told = _judged(CameraRig((rig.cameras[0], bumped, *rig.cameras[2:])), seen)
    assert told.verdict == "redo"
    assert [name for name, camera in told.cameras.items() if camera.verdict == "redo"] == ["right"]


def test_pairs_count_the_moments_that_both_saw():
    seen = board_seen(rig_of())
    seen.corners_px[0, :30] = np.nan
    counts = pairs_of(seen)
    assert counts["front", "right"] <= 10 < counts["right", "back"]
    assert len(counts) == 6


def _judged(rig: CameraRig, seen: BoardSightings):
    told = measured(rig, BOARD, seen)
    evidence = evidence_of(rig, seen, told, told)
    uncovered = {name: replace(camera, coverage_share=None) for name, camera in evidence.cameras.items()}
    return judged(replace(evidence, cameras=uncovered))
