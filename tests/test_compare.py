"""How two sessions differ: known differences are told as they are, in bounded memory, and sameness is called so."""

import argparse
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lifter.skeleton import COCO17, MEDIAPIPE33
from nodes.commands import compare as compare_command
from nodes.compare import Somebody, compare, instants, paired
from nodes.compare_told import compared_sessions, document, lines
from nodes.offline.compared import named
from nodes.sessions.errors import SessionError
from tests import messages as make
from tests.crowd import STRAIGHT, Actor, actors
from tests.takes import N_JOINTS, START_NS, Part, Take

STANDING, OTHER = actors(2)
WALKER = Actor(STRAIGHT)
ELBOW = 13
MS = 1_000_000


def moved(*, by_m=(0.0, 0.0, 0.0), joint: int | None = None) -> Callable[..., npt.NDArray[np.float64]]:
    """What is wrong with a take: one joint, or all, somewhere else."""

    def wrong(_part, joints_m, _at_s):
        out = joints_m.copy()
        out[slice(None) if joint is None else joint] += by_m
        return out

    return wrong


def comparison(folder: Path, a: Take, b: Take):
    return compared_sessions(a.write(folder / "a.mcap"), b.write(folder / "b.mcap"))


ALONE = Take(4.0, (Part(1, STANDING),), keypoints=False)


def test_the_same_is_called_identical(tmp_path):
    made = comparison(tmp_path, ALONE, ALONE)
    assert made.identical
    assert made.same == 120
    assert np.all(made.mean_m == 0)


def test_the_last_digit_is_a_difference(tmp_path):
    made = comparison(tmp_path, ALONE, replace(ALONE, wrong=moved(by_m=(1e-6, 0, 0), joint=ELBOW)))
    assert not made.identical
    assert made.ticks == [120, 0, 0]


def test_what_a_file_has_more_is_a_difference(tmp_path):
    assert not comparison(tmp_path, ALONE, replace(ALONE, seconds=4.1)).identical
    assert not comparison(tmp_path, ALONE, replace(ALONE, hz=60.0)).identical


def test_distance_joint_by_joint(tmp_path):
    made = comparison(tmp_path, ALONE, replace(ALONE, wrong=moved(by_m=(0.03, 0.04, 0), joint=ELBOW), sigma_m=0.02))
    assert made.joints[ELBOW] == "left_elbow"
    assert made.mean_m[ELBOW] == pytest.approx(0.05, rel=1e-4)
    assert made.distance_m.quantile(0.5)[ELBOW] == pytest.approx(0.05, rel=0.05)
    assert np.delete(made.mean_m, ELBOW).max() == 0
    assert made.farthest_m == pytest.approx(0.05, rel=1e-4)
    assert made.sigma_a_m.quantile(0.5) == pytest.approx(0.01, rel=0.05)
    assert made.sigma_b_m.quantile(0.5) == pytest.approx(0.02, rel=0.05)


def test_other_ticks_are_interpolated_between(tmp_path):
    walking = Take(4.0, (Part(1, WALKER),), keypoints=False)
    made = comparison(tmp_path, walking, replace(walking, hz=50.0, phase_s=0.007))
    assert made.people[0] >= 118
    assert made.mean_m.max() < 0.004, "a walker goes 35 mm in a tick"


def test_lag_is_found(tmp_path):
    def late(_part, _joints_m, at_s):
        return WALKER.joints_m(at_s - 0.04)[0]

    rng = np.random.default_rng(0)

    def late_and_noisy(part, joints_m, at_s):
        return late(part, joints_m, at_s) + rng.normal(0, 0.01, (N_JOINTS, 3))

    walking = Take(4.0, (Part(1, WALKER),), keypoints=False)
    for wrong in (late, late_and_noisy):
        made = comparison(tmp_path, walking, replace(walking, wrong=wrong))
        (tmp_path / "a.mcap").unlink()
        (tmp_path / "b.mcap").unlink()
        assert made.lag.seconds == pytest.approx(0.04, abs=0.004)
    assert "behind A" in lines(made)[-1]


def test_who_is_in_one_only_and_other_ids(tmp_path):
    a = Take(4.0, (Part(1, STANDING), Part(2, OTHER)), keypoints=False)
    b = Take(4.0, (Part(7, STANDING, 0.0, 2.0), Part(8, STANDING, 2.0), Part(9, OTHER, 1.0)), keypoints=False)
    made = comparison(tmp_path, a, b)
    assert made.people == [210, 30, 0]
    assert made.pairs == {(1, 7): 60, (1, 8): 60, (2, 9): 90}
    assert made.changes_of_id == [1, 0]
    assert made.reported[0].tolist() == [210, 30, 0]
    assert made.mean_m.max() == 0


def test_ticks_that_one_lacks(tmp_path):
    made = comparison(tmp_path, ALONE, replace(ALONE, still=(1.0, 2.0)))
    both, alone_a, alone_b = made.ticks
    assert (both + alone_a, alone_b) == (120, 0)
    assert 28 <= alone_a <= 31
    turned = compared_sessions(tmp_path / "b.mcap", tmp_path / "a.mcap")
    assert turned.ticks[0] == 90
    assert 20 <= turned.ticks[2] <= 24, "those nearer than 150 ms are passed between ticks of A"


def test_a_pair_stays_together_when_two_pass_close_by():
    def somebody(number, x):
        return Somebody(number, np.full((3, 3), x), np.ones(3))

    near = [somebody(1, 0.0), somebody(2, 0.06)]
    shaken = [somebody(5, 0.04), somebody(6, 0.02)]
    assert paired(near, shaken, {}) == [(0, 1), (1, 0)]
    assert paired(near, shaken, {1: 5, 2: 6}) == [(0, 0), (1, 1)]
    assert paired(near, [somebody(5, 3.0)], {1: 5}) == []
    assert paired([], shaken, {}) == []


def test_ticks_that_go_back_are_passed_over():
    times = (0, 33, 66, 33, 66, 100)
    poses = [make.pose(captured_ns=START_NS + ms * MS) for ms in times]
    found = instants(iter(poses), iter(poses))
    seen = [pose.captured_ns - START_NS for pose, before, _ in found if pose is not None and before is not None]
    assert seen == [ms * MS for ms in (0, 33, 66, 100)]


def test_memory_does_not_grow(tmp_path):
    short = comparison(tmp_path, ALONE, replace(ALONE, wrong=moved(by_m=(0.01, 0, 0))))
    assert len(short.lag._recent) == 1
    assert all(len(recent) <= 32 for recent in short.lag._recent.values())


@dataclass
class Told:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys) -> Callable[..., Told]:
    """The command, in this process."""

    def _run(*arguments: object) -> Told:
        parser = argparse.ArgumentParser()
        compare_command.add(parser.add_subparsers())
        options = parser.parse_args(["compare", *map(str, arguments)])
        code = options.run(options)
        return Told(code, *capsys.readouterr())

    return _run


def test_the_command_tells_draws_and_writes(tmp_path, run):
    pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install -e .[dev]")
    a = ALONE.write(tmp_path / "a.mcap")
    b = replace(ALONE, wrong=moved(by_m=(0.01, 0, 0))).write(tmp_path / "b.mcap")
    told = run(a, b, "--plot", tmp_path / "d.png", "--json", tmp_path / "d.json")
    assert (told.returncode, told.stderr) == (0, "")
    for words in ("left_elbow", "120 in both", "1 is 1 (120)"):
        assert words in told.stdout
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads((tmp_path / "d.json").read_text())
    assert figures["mean_mm"] == pytest.approx(10, rel=1e-3)
    assert figures["identical"] is False
    assert sum(row["joints_in_one_only"] for row in figures["over_time"]) == 0
    assert [row["joint"] for row in figures["joints"]][ELBOW] == "left_elbow"


def test_the_command_says_identical(tmp_path, run):
    a, b = ALONE.write(tmp_path / "a.mcap"), ALONE.write(tmp_path / "b.mcap")
    told = run(a, b)
    assert told.returncode == 0
    assert told.stdout.startswith("identical: 120 poses")


def test_the_figures_hold_no_nan(tmp_path):
    nobody = comparison(tmp_path, replace(ALONE, cast=()), replace(ALONE, seconds=3.0))
    assert "NaN" not in json.dumps(document(nobody, tmp_path / "a", tmp_path / "b"), allow_nan=False)
    assert lines(nobody)


def test_what_cannot_be_compared_is_said(tmp_path, run):
    a = ALONE.write(tmp_path / "a.mcap")
    still = replace(ALONE, still=(0.0, 99.0)).write(tmp_path / "still.mcap")
    later = replace(ALONE, phase_s=100.0).write(tmp_path / "later.mcap")
    there = tmp_path / "there.json"
    there.write_text("mine")
    for arguments, words in (
        ((a, tmp_path / "missing.mcap"), "missing.mcap does not exist"),
        ((a, still), "still.mcap: there are no poses"),
        ((a, later), "no instant in common"),
        ((a, a, "--json", there), "--force"),
        ((a, a, "--json", a), "is what is read"),
        ((a, later, "--plot", tmp_path / "no" / "d.png"), "no folder"),
    ):
        told = run(*arguments)
        assert told.returncode == 2, words
        assert words in " ".join(told.stderr.split())
    assert there.read_text() == "mine"
    with pytest.raises(SessionError):
        compared_sessions(a, there)


def test_a_cut_take_is_compared_as_far_as_it_goes(tmp_path):
    a = ALONE.write(tmp_path / "a.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(a.read_bytes()[: a.stat().st_size * 2 // 3])
    made = compared_sessions(a, cut)
    assert 30 < made.same == made.ticks[0] < 120
    assert made.ticks[0] + made.ticks[1] == 120
    assert not made.identical


def test_instants_are_those_of_the_first():
    a = [make.pose(captured_ns=START_NS + k * 40 * MS) for k in range(5)]
    b = [make.pose(captured_ns=START_NS + k * 25 * MS) for k in range(9)]
    found = list(instants(iter(a), iter(b)))
    assert [pose.captured_ns for pose, _, _ in found if pose] == [pose.captured_ns for pose in a]
    for pose, before, after in itertools.islice(found, 5):
        assert pose is not None
        assert before is not None
        assert after is not None
        assert before.captured_ns <= pose.captured_ns <= after.captured_ns


def test_lines_over_time_have_the_same_stretches(tmp_path):
    """The farthest joint is told beside the mean, also where one session ends long before the other."""
    made = comparison(tmp_path, replace(ALONE, seconds=60.0, hz=10.0), replace(ALONE, seconds=20.0, hz=10.0))
    for most in (50, 200, 2400):
        assert made.worst.told(most)[2] == made.over_time.told(most)[2]
        assert len(made.worst.told(most)[1]) == len(made.over_time.told(most)[1])


def test_recordings_of_different_skeletons_are_compared_where_they_have_joints_in_common(tmp_path):
    """coco17's joints are among mediapipe33's, but for the place of some that have one name and are two things."""
    rows = [MEDIAPIPE33.joints.index(joint) for joint in COCO17.joints]
    a = [
        make.pose(captured_ns=START_NS + k * 33 * MS, skeleton="mediapipe33", people=(made_of(k, None),))
        for k in range(9)
    ]
    b = [make.pose(captured_ns=START_NS + k * 33 * MS, skeleton="coco17", people=(made_of(k, rows),)) for k in range(9)]
    made = compare(iter(a), iter(b), named(MEDIAPIPE33.joints), named(COCO17.joints))
    assert set(made.joints) == set(COCO17.joints)
    assert made.people == [9, 0, 0]
    assert made.mean_m.max() == 0


def made_of(tick, rows):
    joints_m = STANDING.joints_m(tick / 30)[0].astype(np.float32)
    joints_m = joints_m if rows is None else joints_m[rows]
    return make.person(len(joints_m), joints_m=joints_m)
