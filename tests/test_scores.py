"""Scores of 3D poses: sequences whose score is known by construction, one for every figure that is told."""

import json

import numpy as np
import pytest

from lifter.datasets.errors import DatasetError
from lifter.skeleton import BODY17, BODY25, CMU22, COCO17, H36M17, HUMANEVA15, MEDIAPIPE33
from nodes.evaluate import main
from nodes.offline.compared import compared, middle, named
from nodes.offline.pairing import instants, pair, truth_at
from nodes.offline.result_file import Result, save_result
from nodes.offline.scores import scores
from nodes.offline.sequence import Truth
from nodes.wire.messages import Origin
from tests.multiview_files import actor_recording, neutral_arrays, save, truth_m

FPS = 50.0
N = 60
MS = 1_000_000
SHELF = """
    Right-Ankle Right-Knee Right-Hip Left-Hip Left-Knee Left-Ankle Right-Wrist Right-Elbow Right-Shoulder Left-Shoulder
    Left-Elbow Left-Wrist Bottom-Head Top-Head
    """.split()  # noqa: SIM905  # a list of words is read as words


def times_ns(n=N, fps=FPS):
    return np.round(np.arange(n) / fps * 1e9).astype(np.int64)


def moved(joints_m, x=0.0, z=0.0):
    return joints_m + np.array([x, 0.0, z])


def actors_m(n_people=1, skeleton=COCO17, n=N):
    """(n, P, J, 3): walkers 1.5 m apart."""
    one = truth_m(skeleton, n, FPS).astype(np.float64)
    return np.stack([moved(one, 1.5 * p) for p in range(n_people)], axis=1)


def truth_of(joints_m, joints=COCO17.joints):
    return Truth(tuple(joints), joints_m, times_ns(len(joints_m)))


def result_of(joints_m, joints=COCO17.joints, **changes):
    present = np.isfinite(joints_m).all(-1)
    T, P = joints_m.shape[:2]
    fields = {
        "captured_ns": times_ns(T),
        "person_id": np.where(present.any(-1), 10 + np.arange(P), -1),
        "joints": tuple(joints),
        "joints_m": joints_m.astype(np.float32),
        "sigma_m": np.full((T, P, len(joints)), 0.01, dtype=np.float32),
        "views": np.full((T, P, len(joints)), 3, dtype=np.uint32),
        "origin": np.full((T, P, len(joints)), Origin.FUSED, dtype=np.uint8),
        "reprojection_px": np.ones((T, P, len(joints)), dtype=np.float32),
        "skeleton": "",
        "cameras": ("a", "b"),
    }
    return Result(**{**fields, **changes})


def scored(found_m, true_m, **changes):
    return scores(pair(result_of(found_m, **changes), truth_of(true_m)))


def test_what_is_right_has_the_best_scores():
    x = actors_m(2)
    told = scored(x[:, ::-1], x)
    assert told["mpjpe_mm"] < 1e-3
    assert told["mpjpe_root_mm"] < 1e-3
    assert told["reported"] == told["pcp3d"]["average"] == told["pcp3d_mean_of_ends"]["average"] == 1.0
    assert set(told["ap"].values()) == set(told["recall"].values()) == {1.0}
    assert (told["id_switches"], told["misses"], told["false_people"]) == (0, 0, 0)
    assert (told["people"], told["people_expected"], told["frames"]) == (2, 2 * N, N)
    assert told["jitter"]["acceleration_error_m_s2"] < 0.01
    assert abs(told["lag_ms"]) < 0.1


def test_absolute_and_root_relative_error():
    x = actors_m()
    told = scored(moved(x, 0.03, z=0.04), x)
    assert told["mpjpe_mm"] == pytest.approx(50, abs=0.01)
    assert told["median_mm"] == pytest.approx(50, abs=0.01)
    assert told["mpjpe_root_mm"] == pytest.approx(0, abs=0.01)
    hips = x.copy()
    hips[:, :, [COCO17.index("left_hip"), COCO17.index("right_hip")]] += [0.0, 0.0, 0.1]
    told = scored(hips, x)
    assert told["mpjpe_mm"] == pytest.approx(100 * 2 / 17, abs=0.01)
    assert told["mpjpe_root_mm"] == pytest.approx(100 * 15 / 17, abs=0.01), "their middle is the root of all others"
    assert told["joints"]["left_hip"]["mpjpe_mm"] == pytest.approx(100, abs=0.01)


def test_what_is_not_reported_costs_300_mm():
    x = actors_m()
    x[:, :, 0] = np.nan  # no truth: nothing is asked
    found = moved(actors_m(), 0.02)
    found[: N // 2, :, COCO17.index("left_wrist")] = np.nan
    told = scored(found, x)
    assert told["reported"] == pytest.approx(1 - 0.5 / 16)
    assert told["joints"]["left_wrist"]["reported"] == 0.5
    assert np.isnan(told["joints"]["nose"]["reported"])
    assert told["mpjpe_mm"] == pytest.approx(20, abs=0.01)
    assert told["mpjpe_unreported_300_mm"] == pytest.approx((0.5 * 300 + 15.5 * 20) / 16, abs=0.01)
    x = actors_m(2)
    assert scored(x[:, :1], x)["mpjpe_unreported_300_mm"] == pytest.approx(150, abs=0.01), "a missed person, too"


def test_pcp_is_of_limbs_whose_both_ends_are_near():
    x = actors_m(2)
    found = x.copy()
    elbow, wrist = COCO17.index("left_elbow"), COCO17.index("left_wrist")
    forearm_m = np.linalg.norm(x[:, 0, elbow] - x[:, 0, wrist], axis=-1)[:, None]
    found[:, 0, wrist] += 0.6 * forearm_m * [0, 0, 1]
    told = scored(found, x)
    found[:, 0, wrist] = x[:, 0, wrist] + 0.49 * forearm_m * [0, 0, 1]
    assert scored(found, x)["pcp3d"]["average"] == 1.0
    found[:, 0, wrist] = x[:, 0, wrist] + 0.51 * forearm_m * [0, 0, 1]
    assert scored(found, x)["pcp3d"]["actors"] == told["pcp3d"]["actors"]
    assert told["pcp3d"]["actors"][0]["lower_arms"] == 0.5
    assert told["pcp3d"]["actors"][0]["upper_arms"] == told["pcp3d"]["actors"][0]["torso"] == 1.0
    assert told["pcp3d"]["actors"][0]["all"] == pytest.approx(8 / 9), "eight limbs and the torso; COCO has no neck"
    assert told["pcp3d"]["actors"][1]["all"] == 1.0
    assert told["pcp3d"]["average"] == pytest.approx((8 / 9 + 1) / 2)
    assert told["pcp3d"]["parts"]["lower_arms"] == 0.75
    assert told["pcp3d_mean_of_ends"]["average"] == 1.0, "0.3 of the length on average"
    found[: N // 4, 0, wrist] = np.nan
    assert scored(found, x)["pcp3d_mean_of_ends"]["actors"][0]["lower_arms"] == pytest.approx(1 - 0.125)
    found[:, 0] = np.nan
    assert scored(found, x)["pcp3d"]["average"] == 0.5, "a missed actor has no limb right"


def test_heads_of_shelf_are_met_by_shoulders_and_ears():
    both = named(SHELF), named(COCO17.joints)
    assert set(compared(*both).names) == {name for name in named(SHELF).joints if name[:4] in ("left", "righ")}
    coco = actors_m()
    sides = ("left", "right")
    shoulders, ears = ([coco[:, :, COCO17.index(f"{side}_{joint}")] for side in sides] for joint in ("shoulder", "ear"))
    low = (sum(shoulders) / 2 + sum(ears) / 2) / 2
    shelf = np.stack(
        [coco[:, :, COCO17.index(name)] for name in both[0].joints[:12]] + [low, sum(ears) - low], axis=2
    )  # its top is as far above the ears as the ears are above its bottom
    told = scores(pair(result_of(coco), truth_of(shelf, SHELF)))
    assert set(told["pcp3d"]["parts"]) == {"head", "torso", "upper_arms", "lower_arms", "upper_legs", "lower_legs"}
    assert told["pcp3d"]["average"] == 1.0
    shelf[:, :, -1] += [0, 0, 0.3]
    assert scores(pair(result_of(coco), truth_of(shelf, SHELF)))["pcp3d"]["parts"]["head"] == 0.0


def test_ap_and_recall_are_of_whole_poses_in_the_order_of_their_sigmas():
    x = actors_m(2)
    found = x + np.array([[0.01, 0, 0], [0.06, 0, 0]])[:, None]
    sigma = np.full(found.shape[:-1], 0.01, np.float32)
    sigma[:, 1] = 0.02
    told = scored(found, x, sigma_m=sigma)
    assert told["recall"] == {"25": 0.5, "50": 0.5, "75": 1.0, "100": 1.0, "125": 1.0, "150": 1.0}
    assert told["ap"]["25"] == pytest.approx(0.5), "the surer half is right: precision 1 up to recall 0.5"
    assert told["ap"]["75"] == 1.0
    told = scored(found, x, sigma_m=sigma[:, ::-1])
    first = N  # the wrong ones come first: at the k-th hit, precision is k / (N + k), highest at the end
    assert told["ap"]["25"] == pytest.approx(0.5 * N / (first + N))
    doubled = np.concatenate([x, moved(x, 0.005)], axis=1)
    told = scored(doubled, x, sigma_m=np.repeat([[0.01] * 2 + [0.02] * 2], N, 0)[..., None] * np.ones(17, np.float32))
    assert told["ap"]["25"] == 1.0, "the surer of two is the hit"
    assert told["recall"]["25"] == 1.0
    assert told["false_people"] == 2 * N
    assert scored(doubled, x)["ap"]["25"] < 1.0, "of equally sure ones, some doubles come before the hits"


def test_unreported_joints_count_in_ap():
    x = actors_m()
    found = x.copy()
    found[:, :, : round(17 / 3)] = np.nan  # 6 of 17 at 300 mm: 106 mm
    told = scored(found, x)
    assert (told["recall"]["100"], told["recall"]["125"]) == (0.0, 1.0)


def test_id_switches_count_changes_since_a_person_was_last_found():
    x = actors_m(2)
    ids = np.tile([1, 2], (N, 1))
    assert scored(x, x, person_id=ids)["id_switches"] == 0
    swapped = ids.copy()
    swapped[30:] = [2, 1]
    assert scored(x, x, person_id=swapped)["id_switches"] == 2
    away = x.copy()
    away[20:40, 0] = np.nan
    ids[20:40, 0] = -1
    told = scored(away, x, person_id=ids)
    assert (told["id_switches"], told["misses"]) == (0, 20)
    ids[40:, 0] = 3
    assert scored(away, x, person_id=ids)["id_switches"] == 1


def test_people_are_paired_for_the_least_total_error_within_the_gate():
    x = actors_m(2)
    x[:, 1] = x[:, 0] + [0.3, 0, 0]
    found = np.stack([x[:, 0] + [0.16, 0, 0], x[:, 0] - [0.2, 0, 0]], axis=1)
    told = scored(found, x)  # the first is nearest to the second person by 2 cm, and the only one in reach for it
    assert told["mpjpe_mm"] == pytest.approx(170, abs=0.1)
    assert told["misses"] == 0
    far = moved(actors_m(), 0.51)
    told = scored(far, actors_m())
    assert (told["misses"], told["false_people"], told["reported"]) == (N, N, 0.0)
    assert np.isnan(told["mpjpe_mm"])
    assert told["mpjpe_unreported_300_mm"] == pytest.approx(300)


def test_people_are_false_only_where_the_truth_speaks():
    x = actors_m()
    x[N // 2 :] = np.nan
    told = scored(np.concatenate([actors_m(), moved(actors_m(), 5.0)], axis=1), x)
    assert told["false_people"] == N // 2
    assert told["people_where_truth_has_nobody"] == N
    assert told["recall"]["25"] == 1.0
    sure_later = np.where(np.arange(N) < N // 2, 0.02, 0.01)[:, None, None] * np.ones((1, 17), np.float32)
    assert scored(actors_m(), x, sigma_m=sure_later.astype(np.float32))["ap"]["25"] == 1.0


@pytest.mark.parametrize("lag_ms", [-30.0, 0.0, 7.0, 25.0, 90.0])
def test_lag_is_found_between_rows(lag_ms):
    t = np.arange(N) / FPS
    still = actors_m()[:1]

    def swaying(at):
        return still + np.stack([np.sin(2.5 * at), 0.5 * at, 0 * at], axis=-1)[:, None, None]

    told = scored(swaying(t - lag_ms / 1000), swaying(t))
    assert told["lag_ms"] == pytest.approx(lag_ms, abs=0.7)


def test_lag_of_nobody_who_moves_is_not_known():
    still = np.repeat(actors_m()[:1], N, axis=0)
    assert np.isnan(scored(still, still)["lag_ms"])
    assert np.isnan(scored(still[:1], still[:1])["lag_ms"])
    assert np.isnan(scored(still[:2], still[:2])["jitter"]["acceleration_m_s2"])


def test_jitter_is_the_mean_acceleration():
    t = np.arange(N) / FPS
    x = actors_m()[:1] + (2.0 * t**2)[:, None, None, None] * [0, 0, 1.0]  # 4 m/s²
    shaken = x + 0.001 * ((-1.0) ** np.arange(N))[:, None, None, None] * [1.0, 0, 0]  # 4 · 1 mm / dt² = 10 m/s²
    told = scored(shaken, x)["jitter"]
    assert told["acceleration_error_m_s2"] == pytest.approx(10, rel=0.01)
    assert told["truth_acceleration_m_s2"] == pytest.approx(4, rel=0.01)
    assert told["acceleration_m_s2"] == pytest.approx(np.hypot(10, 4), rel=0.01)
    ids = np.arange(N)[:, None]
    assert np.isnan(scored(shaken, x, person_id=ids)["jitter"]["acceleration_m_s2"]), "a new id is no jerk"


def test_sigmas_are_judged_by_origin():
    rng = np.random.default_rng(0)
    x = actors_m()
    sigma = rng.uniform(0.005, 0.03, x.shape[:-1]).astype(np.float32)
    found = x + sigma[..., None] * rng.standard_normal(x.shape)
    origin = np.full(x.shape[:-1], Origin.TRIANGULATED, np.uint8)
    origin[:, :, 9:] = Origin.LIFTED
    sigma[:, :, 9:] /= 2  # lifts boast
    told = scored(found, x, sigma_m=sigma, origin=origin)["sigma"]
    assert told["triangulated"]["normalised_error2"] == pytest.approx(1, abs=0.1)
    assert told["triangulated"]["within_1_sigma"] == pytest.approx(0.683, abs=0.03)
    assert told["triangulated"]["within_2_sigma"] == pytest.approx(0.954, abs=0.02)
    assert told["lifted"]["normalised_error2"] == pytest.approx(4, abs=0.4)
    assert told["lifted"]["within_2_sigma"] == pytest.approx(0.683, abs=0.03)
    assert (told["all"]["joints"], told["lifted"]["joints"], told["predicted"]["joints"]) == (17 * N, 8 * N, 0)
    assert np.isnan(told["predicted"]["normalised_error2"])


# Which joints are compared


def test_of_two_skeletons_the_joints_that_both_have_in_one_place():
    told = compared(named(CMU22.joints), named(MEDIAPIPE33.joints))
    assert not {"neck", "head", "thorax", "spine"} & set(told.names)
    assert told.of_found[told.names.index("pelvis")] == middle(("left_hip", "right_hip"))
    assert told.of_truth[told.names.index("pelvis")] == {"pelvis": 1.0}
    assert compared(named(CMU22.joints), named(CMU22.joints[::-1])).names == CMU22.joints
    assert "thorax" not in compared(named(H36M17.joints), named(HUMANEVA15.joints)).names
    assert "pelvis" not in compared(named(COCO17.joints), named(BODY25.joints)).names, "the truth knows none"
    with pytest.raises(DatasetError, match=r"none of the truth's joints \(corner\) is one of the result's \(left_hip"):
        compared(named(["corner"]), named(["left_hip"]))


def test_body17_is_met_by_middles():
    told = compared(named(BODY17.joints), named(MEDIAPIPE33.joints))
    assert told.names == BODY17.joints
    assert told.of_found[told.names.index("thorax")] == middle(("left_shoulder", "right_shoulder"))
    assert told.of_found[told.names.index("left_toe")] == {"left_foot_index": 1.0}
    told = compared(named(CMU22.joints), named(BODY17.joints))
    assert told.of_truth[told.names.index("pelvis")] == middle(("left_hip", "right_hip")), "not its own pelvis"
    assert not {"head", "left_toe"} & set(told.names), "CMU has them elsewhere"


def test_a_list_that_is_part_of_another_is_of_its_skeleton():
    assert "neck" in compared(named(["neck", "left_hip"]), named(["neck", "left_hip", "left_knee"])).names
    assert "neck" not in compared(named(["neck", "left_hip", "tail"]), named(["neck", "left_hip", "left_knee"])).names


def test_sigma_of_a_middle_is_that_of_a_mean():
    skeleton = BODY17
    x = truth_m(MEDIAPIPE33, 3, FPS).astype(np.float64)[:, None]
    hips = x[:, :, [MEDIAPIPE33.index("left_hip"), MEDIAPIPE33.index("right_hip")]].mean(2)
    only = np.full((3, 1, len(skeleton.joints), 3), np.nan)
    only[:, :, 0] = moved(hips, z=0.01)
    origin = np.full((3, 1, 33), Origin.FUSED, np.uint8)
    origin[:, :, MEDIAPIPE33.index("right_hip")] = Origin.LIFTED
    told = scores(pair(result_of(x, MEDIAPIPE33.joints, origin=origin), truth_of(only, skeleton.joints)))
    assert told["sigma"]["lifted"]["normalised_error2"] == pytest.approx(2 / 3, abs=1e-3), "sigma is 10 mm / √2"


# Times


def test_truth_is_interpolated_to_the_results_instants():
    truth = Truth(
        ("left_hip",),
        np.array([0.0, 1.0, 2.0, 10.0])[:, None, None, None] * np.ones(3),
        np.array([0, 10, 20, 100]) * MS,
    )
    at = truth_at(truth, np.array([-1, 0, 5, 20, 60, 100, 101]) * MS)[:, 0, 0, 0]
    np.testing.assert_array_equal(at, [np.nan, 0.0, 0.5, 2.0, np.nan, 10.0, np.nan])


def test_rows_that_a_result_lacks_are_misses():
    times, rows = instants(np.array([0, 11, 40, 90]) * MS, np.array([0, 10, 20, 30, 40]) * MS)
    np.testing.assert_array_equal(times // MS, [0, 11, 20, 30, 40])
    np.testing.assert_array_equal(rows, [0, 1, -1, -1, 2])
    x = actors_m()
    told = scores(pair(result_of(x[:40]), truth_of(x)))
    assert (told["misses"], told["frames"]) == (20, N)
    told = scores(pair(result_of(x[::2], captured_ns=times_ns()[::2] + 5 * MS), truth_of(x)))
    assert told["misses"] == pytest.approx(N / 2, abs=1)


# The command


def files(tmp_path):
    arrays = neutral_arrays(actor_recording(COCO17, 12, 2))
    sequence = save(tmp_path / "walk.npz", arrays)
    result = result_of(arrays["gt3d"] + np.array([0.0, 0.0, 0.05]), captured_ns=times_ns(12, 30.0))
    save_result(result, tmp_path / "out.npz")
    return tmp_path / "out.npz", sequence


def test_the_command_prints_and_writes_json(tmp_path, capsys):
    out, sequence = files(tmp_path)
    assert main([str(out), str(sequence), "--json", str(tmp_path / "s.json")]) == 0
    assert "50.0 mm" in capsys.readouterr().out
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["mpjpe_mm"] == pytest.approx(50, abs=0.01)
    assert told["sigma"]["predicted"]["normalised_error2"] is None
    assert "NaN" not in (tmp_path / "s.json").read_text()


def test_files_that_do_not_serve_are_named(tmp_path, capsys):
    out, sequence = files(tmp_path)
    bare = save(tmp_path / "bare.npz", neutral_arrays(actor_recording(COCO17, 4, 2)), gt3d=None)
    for arguments, message in (
        ([out, bare], "bare.npz: there is no truth in it"),
        ([sequence, sequence], "walk.npz: there is no array 'joints_m' in it"),
        ([tmp_path / "no.npz", sequence], "no.npz does not exist"),
        ([out, sequence, "--json", sequence], "is an input, which would be lost"),
        ([out, sequence, "--json", tmp_path / "no" / "s.json"], "cannot be written"),
    ):
        assert main([str(each) for each in arguments]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
