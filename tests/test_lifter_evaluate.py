"""Evaluation: takes by the protocol and from recordings, and the command's figures against figures worked out apart.

Small networks with random weights on the virtual actor's motion.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lifter import evaluate, runtime
from lifter.datasets.errors import DatasetError
from lifter.datasets.h36m_cameras import h36m_rig
from lifter.datasets.motion_file import Clip, read_clips
from lifter.datasets.neutral import save_neutral
from lifter.judge import Verdict, alike, judge_takes
from lifter.normalise import normalise
from lifter.protocol import NOISE_PX, Take, motion_takes, recorded_takes
from lifter.skeleton import BODY17, H36M17
from tests.lifter_data import body17_motion_m, write_motion_file
from tests.multiview_files import actor_recording, save_pickled, truth_m

CMU = Path(__file__).parents[2] / "shared" / "data" / "cmu"
CENTRE_M = [1.724944, -2.932158, 2.702201]  # of the first camera of the clip a/1, and the noise of its first joint
NOISE_OF_FIRST_PX = [-4.74844, -3.48954]
NO_TORCH = "checkpoints are of torch, which the extra `train` brings"


def clip_of(name="a/1", frames=20, action="walk | Subject #1 (a title)"):
    return Clip(name, name.partition("/")[0], action, 30.0, body17_motion_m("walk", frames).astype(np.float32))


class TrueLifts:
    """In the place of a network: the truth of a take, off by off_m along each axis of the camera but for the root."""

    kind, skeleton = "frame", BODY17

    def __init__(self, take: Take, off_m=0.0):
        self.take, self.off_m = take, off_m

    def lift(self, rays, confidence, up_cam):
        n, joints = rays.shape[:2]
        truth_m = self.take.joints_m - self.take.joints_m[:, :1]
        in_cam = np.einsum("cij,tkj->tcki", self.take.R_cam_world, truth_m).reshape(n, joints, 3)
        in_cam[:, 1:] += self.off_m
        return runtime.Lifts(in_cam, np.full((n, joints), 0.05), np.zeros((n, 3)), np.ones(n, bool))


# ---- takes -------------------------------------------------------------------------------------------------------


def test_the_protocol_is_what_it_says():
    takes = list(motion_takes([clip_of()], BODY17))
    assert [take.name for take in takes] == ["a/1#0", "a/1#1", "a/1#2", "a/1#3"]
    for take in takes:
        assert_array_equal(take.action, "walk")
        assert take.rays.shape == (20, 4, 17, 2)
        assert_allclose(take.joints_m[:, BODY17.root, :2], 0, atol=1e-12)
        assert_array_equal(take.confidence, 1)
        assert_array_equal(take.focal_px, 1100)
        across_m = np.linalg.norm(take.centre_m[:, :2], axis=-1)
        assert ((across_m >= 3) & (across_m <= 6)).all()
        assert ((take.centre_m[:, 2] >= 1) & (take.centre_m[:, 2] <= 3)).all()
        looks_at = np.einsum("cij,cj->ci", take.R_cam_world, [0, 0, 1] - take.centre_m)
        assert_allclose(looks_at[:, :2], 0, atol=1e-12)
    miss_px = np.concatenate([(take.rays - seen_exactly(take)) * 1100 for take in takes])
    assert_allclose(miss_px.std(), NOISE_PX, rtol=0.02)  # of 10,880 numbers: 0.7 % is one standard deviation


def seen_exactly(take):
    in_cam = np.einsum("cij,tckj->tcki", take.R_cam_world, take.joints_m[:, None] - take.centre_m[:, None])
    return in_cam[..., :2] / in_cam[..., 2:]


def test_a_clips_takes_do_not_depend_on_the_other_clips():
    alone = list(motion_takes([clip_of("b/2")], BODY17))
    with_others = list(motion_takes([clip_of("a/1"), clip_of("b/2"), clip_of("c/3")], BODY17))[4:8]
    for one, other in zip(alone, with_others, strict=True):
        assert_array_equal(one.rays, other.rays)
        assert_array_equal(one.centre_m, other.centre_m)
    others = list(motion_takes([clip_of("a/1")], BODY17)), list(motion_takes([clip_of("b/2")], BODY17, seed=5))
    assert all((each[0].centre_m != alone[0].centre_m).all() for each in others)


def test_the_protocol_stays_the_same_from_version_to_version():
    """Figures of different dates are only comparable while this holds."""
    take = next(motion_takes([clip_of()], BODY17))
    assert_allclose(take.centre_m[0], CENTRE_M, atol=1e-6)
    assert_allclose(1100 * (take.rays - seen_exactly(take))[0, 0, 0], NOISE_OF_FIRST_PX, atol=1e-4)


def test_takes_of_a_recording_are_its_chunks_in_ideal_coordinates():
    recording = actor_recording(H36M17, n_frames=10)  # its cameras have distortion
    recording = replace(recording, chunk=np.array([0] * 6 + [1] * 4), action=np.array(["walk"] * 7 + ["box"] * 3))
    takes = list(recorded_takes([recording]))
    assert [take.action.tolist() for take in takes] == [["walk"] * 6, ["walk"] + ["box"] * 3]
    for take in takes:
        # pixels are float32 (6e-5 px at 1000), over a focal length of 900 px
        assert_allclose(take.rays, seen_exactly(take), atol=2e-6)
        assert_allclose(take.up_cam, [camera.T_cam_world[:3, 2] for camera in recording.rig.cameras])
    assert_array_equal(np.concatenate([take.joints_m for take in takes]), recording.joints_m)


@pytest.mark.parametrize("joints_m", [None, np.full((12, 17, 3), np.nan)])
def test_a_recording_without_truth_is_refused(joints_m):
    with pytest.raises(DatasetError, match="actor has no 3D truth"):
        next(recorded_takes([replace(actor_recording(), joints_m=joints_m)]))


# ---- judging -----------------------------------------------------------------------------------------------------


def judged(take, off_m=0.0, **changes):
    """The verdict on such lifts of a take, judged by the take with changes."""
    lifter: Any = TrueLifts(take, off_m)
    verdict = Verdict(BODY17)
    judge_takes(verdict, lifter, [replace(take, **changes)])
    return verdict


def test_exact_lifts_are_judged_exact():
    take = next(motion_takes([clip_of()], BODY17))
    take = replace(take, rays=seen_exactly(take))
    verdict = judged(take)
    assert (verdict.moments, verdict.views) == (20, 80)
    for tallies in (verdict.single, verdict.averaged, verdict.merged, verdict.triangulated):
        assert tallies["walk"].figures()["mpjpe_mm"] < 0.01
        assert tallies["walk"].figures()["given"] == 1


def test_a_known_error_is_measured_as_it_is():
    take = next(motion_takes([clip_of()], BODY17))
    verdict = judged(take, off_m=0.03)
    figures = verdict.single["walk"].figures()
    assert_allclose(figures["mpjpe_mm"], 30 * np.sqrt(3) * 16 / 17)
    assert_allclose(figures["sigma_calibration"], (0.03 / 0.05) ** 2)
    # every camera's error points another way; their mean is what averaging leaves
    left_m = np.linalg.norm(take.R_cam_world.transpose(0, 2, 1).mean(0) @ [0.03, 0.03, 0.03])
    assert_allclose(verdict.averaged["walk"].figures()["mpjpe_mm"], 1000 * left_m * 16 / 17)


def test_takes_of_the_same_length_and_rate_go_together():
    takes = [*motion_takes([clip_of("a/1", 5), clip_of("b/2", 7)], BODY17, repeats=2)]
    groups = list(alike([*takes, replace(takes[3], fps=50.0)]))
    assert [[take.name for take in group] for group in groups] == [["a/1#0", "a/1#1"], ["b/2#0", "b/2#1"], ["b/2#1"]]


def test_frames_are_tallied_by_their_actions():
    take = next(motion_takes([clip_of()], BODY17))
    verdict = judged(take, action=np.array(["walk"] * 5 + ["turn"] * 15))
    for tallies in (verdict.single, verdict.merged):
        assert {action: tally.asked[0] for action, tally in tallies.items()} in (
            {"walk": 20, "turn": 60},
            {"walk": 5, "turn": 15},
        )


def test_of_the_truths_unknown_joints_nothing_is_asked():
    take = next(motion_takes([clip_of()], BODY17))
    joints_m = take.joints_m.copy()
    joints_m[:, 5:9] = np.nan
    verdict = judged(take, off_m=0.03, joints_m=joints_m)
    assert_allclose(verdict.single["walk"].figures()["mpjpe_mm"], 30 * np.sqrt(3) * 12 / 13)


# ---- the command -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A checkpoint with random weights of each kind."""
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from configs.training import Model, Training
    from lifter import checkpoint
    from lifter.model import build

    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for kind in ("frame", "sequence"):
        torch.manual_seed(3)
        training = Training(
            model=Model(kind=kind, width=32, dilations=(1, 2)), train={"kind": "motion"}, steps=1, window=4
        )
        model = build(training.model, BODY17)
        with torch.no_grad():
            model.head.pose.weight.normal_(std=0.02)
            for layer in getattr(model, "memory", ()):
                layer[-1].weight.fill_(1.0)  # born as zero: a new layer adds nothing
        paths[kind] = folder / f"{kind}.pt"
        checkpoint.save(checkpoint.Checkpoint(model, training, 1), paths[kind])
    return paths


@pytest.fixture
def motion(tmp_path):
    folder = tmp_path / "motion"
    folder.mkdir()
    clips = {"trainer": body17_motion_m("walk", 8), "tester": body17_motion_m("walk", 12)}
    return write_motion_file(folder, clips)


def run(tmp_path, *arguments):
    out = tmp_path / "out.json"
    assert evaluate.main([*map(str, arguments), "--json", str(out)]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def network_errors_m(path, takes):
    """(rows, 17) by the network itself, whole takes at once, without anything of the runtime or of judging."""
    import torch

    from lifter import checkpoint

    model = checkpoint.load(path).model.eval()
    errors = []
    for take in takes:
        T, C, J, _ = take.rays.shape
        rays, confidence = take.rays.transpose(1, 0, 2, 3).reshape(-1, J, 2), np.ones((C * T, J))
        views = normalise(rays, confidence, take.up_cam.repeat(T, axis=0))
        rows = (C, T) if model.kind == "sequence" else (C * T,)
        with torch.no_grad():
            lift = model(*(torch.from_numpy(x).reshape(*rows, *x.shape[1:]) for x in (views.keypoints, views.context)))
        relative_m = take.joints_m - take.joints_m[:, :1]
        truth = np.einsum("cij,tkj->ctki", take.R_cam_world, relative_m).reshape(-1, J, 3)
        in_cam = np.einsum("nij,nkj->nki", views.R_cam_view, lift.joints_m.reshape(-1, J, 3).numpy())
        errors.append(np.linalg.norm(in_cam - truth, axis=-1))
    return np.concatenate(errors)


@pytest.mark.parametrize("kind", ["frame", "sequence"])
def test_figures_are_those_of_the_network(kind, weights, motion, tmp_path, capsys):
    document = run(tmp_path, "--weights", weights[kind], "--data", motion.parent)
    errors_mm = 1000 * network_errors_m(weights[kind], motion_takes(read_clips(motion, split="test"), BODY17))
    assert_allclose(document["single_view"]["mpjpe_mm"], errors_mm.mean(), rtol=1e-5)
    assert_allclose(list(document["per_joint"].values()), errors_mm.mean(0), rtol=1e-5, atol=1e-9)
    assert_allclose(document["single_view"]["pck_150"], (errors_mm < 150).mean(), atol=1e-9)
    assert list(document["per_joint"]) == list(BODY17.joints)
    assert_allclose(document["per_action"]["walk"], errors_mm.mean(), rtol=1e-5)
    assert (document["frames"], document["views"], document["kind"]) == (48, 192, kind)
    assert document["skeleton"] == "body17"
    assert "3 px" in document["protocol"]
    assert 3 < document["triangulated"]["mpjpe_mm"] < 40
    for part in ("single_view", "averaged", "merged", "triangulated"):
        assert set(document[part]) == {"mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "pck_150", "given"}
        assert document[part]["given"] == 1
    assert document["sigma"]["calibration"] > 0
    shown = capsys.readouterr()
    assert f"{errors_mm.mean():.1f}" in shown.out
    assert "left_wrist" in shown.out


def test_every_nth_frame_is_judged_and_a_sequence_still_sees_them_all(weights, motion, tmp_path):
    takes = list(motion_takes(read_clips(motion, split="test"), BODY17))
    for kind, path in weights.items():
        document = run(tmp_path, "--weights", path, "--data", motion.parent, "--every", 5)
        errors_mm = 1000 * network_errors_m(path, takes).reshape(4, 4, 12, 17)[:, :, ::5]
        assert document["frames"] == 12, kind
        assert_allclose(document["single_view"]["mpjpe_mm"], errors_mm.mean(), rtol=1e-5, err_msg=kind)


def test_the_split_is_chosen(weights, motion, tmp_path):
    options = "--weights", weights["frame"], "--data", motion.parent
    assert run(tmp_path, *options, "--split", "train")["frames"] == 4 * 8
    assert run(tmp_path, *options, "--split", "all")["frames"] == 4 * 20


@pytest.mark.slow
def test_exported_weights_give_the_same_figures_and_come_as_the_default_with_the_sequence_beside(
    weights, motion, tmp_path, monkeypatch
):
    pytest.importorskip("onnxscript", reason="exporting needs the extra `train`")
    from lifter import export

    for kind, path in weights.items():
        assert export.main([str(path), "--out", str(tmp_path / f"body17_{kind}.onnx"), "--rate-hz", "30"]) == 0
    monkeypatch.setattr(runtime, "DEFAULT", tmp_path / "body17_frame.onnx")
    monkeypatch.setattr(runtime, "SEQUENCE", tmp_path / "body17_sequence.onnx")
    shipped = run(tmp_path, "--data", motion.parent)
    assert shipped["weights"] == "body17_frame.onnx"
    for part, kind in ((shipped, "frame"), (shipped["sequence"], "sequence")):
        by_torch = run(tmp_path, "--weights", weights[kind], "--data", motion.parent)
        single = part["single_view"] if kind == "frame" else part
        assert_allclose(single["mpjpe_mm"], by_torch["single_view"]["mpjpe_mm"], atol=0.1)
        assert_allclose(part["merged"]["mpjpe_mm"], by_torch["merged"]["mpjpe_mm"], atol=0.1)


def test_recordings_are_evaluated_where_they_have_truth(weights, tmp_path, capsys):
    folder = tmp_path / "recordings"
    folder.mkdir()
    save_neutral(actor_recording(H36M17, n_frames=12), folder / "labelled.npz")
    save_neutral(replace(actor_recording(H36M17), joints_m=None), folder / "bare.npz")
    save_neutral(actor_recording(H36M17, n_frames=12), folder / "odd[1].npz")
    options = "--weights", str(weights["frame"]), "--data", str(folder)
    document = run(tmp_path, *options, "--files", "lab*.npz")
    assert (document["frames"], document["views"]) == (12, 36)
    assert set(document["per_action"]) == {"Walking", "Boxing"}
    assert document["triangulated"]["mpjpe_mm"] < 2  # pelvis: the middle of two pixels is not quite that of two points
    assert run(tmp_path, *options, "--files", "lab*.npz", "--actions", "boxing")["frames"] == 6
    assert run(tmp_path, *options, "--files", "odd*")["frames"] == 12  # its name is no pattern
    capsys.readouterr()
    assert evaluate.main([*options]) == 2
    assert "bare has no 3D truth" in capsys.readouterr().err


def test_videopose3ds_files_find_their_truth_and_cameras(weights, tmp_path):
    truth = truth_m(H36M17)
    views = [view.astype(np.float32) for view in h36m_rig("S9").project(truth.astype(np.float64))]
    metadata = {"layout_name": "h36m", "num_joints": 17}
    save_pickled(tmp_path / "data_3d_h36m.npz", positions_3d={s: {"Walking 1": truth} for s in ("S1", "S9")})
    pixels = {"S1": {"Walking 1": views}, "S9": {"Walking 1": views}}
    save_pickled(tmp_path / "data_2d_h36m_gt.npz", positions_2d=pixels, metadata=metadata)
    options = "--weights", weights["frame"], "--data", tmp_path, "--subjects", "S9"
    detected = run(tmp_path, *options)
    projected = run(tmp_path, *options, "--keypoints", "projected")
    assert (detected["frames"], detected["views"], list(detected["per_action"])) == (12, 48, ["Walking 1"])
    assert_allclose(projected["single_view"]["mpjpe_mm"], detected["single_view"]["mpjpe_mm"], rtol=1e-3)


def test_another_skeletons_recording_is_derived_and_asks_for_the_joints_that_it_has(weights, tmp_path):
    save_neutral(actor_recording(H36M17, n_frames=12), tmp_path / "h36m.npz")
    document = run(tmp_path, "--weights", weights["frame"], "--data", tmp_path, "--files", "h36m.npz")
    assert document["per_joint"]["left_toe"] is None  # Human3.6M's 17 have no toes
    assert document["per_joint"]["left_knee"] > 0


def test_what_cannot_be_evaluated_is_told(weights, motion, tmp_path, capsys):
    frame = "--weights", str(weights["frame"])
    save_neutral(actor_recording(H36M17), motion.parent / "recording.npz")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    for arguments, told in (
        ((*frame, "--data", str(tmp_path / "nowhere")), "nowhere does not exist"),
        ((*frame, "--data", str(motion.parent)), "one kind of file at a time"),
        ((*frame, "--data", str(motion.parent), "--files", "x*"), "no file matches x*"),
        ((*frame, "--data", str(motion.parent), "--files", motion.name, "--split", "exam"), "no split 'exam'"),
        ((*frame, "--data", str(motion.parent), "--files", "rec*", "--subjects", "S1"), "`subjects`"),
        ((*frame, "--data", str(tmp_path / "empty")), "torn.npz: damaged"),
        (
            (
                *frame,
                "--data",
                str(motion.parent),
                "--files",
                motion.name,
                "--actions",
                "walk",
                "--keypoints",
                "detected",
            ),
            "--actions and --keypoints choose among recordings",
        ),
        ((*frame, "--data", str(motion.parent), "--json", str(tmp_path / "no" / "x.json")), "folder does not exist"),
        (("--weights", "absent.pt", "--data", str(motion.parent)), "absent.pt does not exist"),
        (("--weights", "absent.onnx", "--data", str(motion.parent)), "absent.onnx does not exist"),
    ):
        assert evaluate.main(list(arguments)) == 2
        assert told in capsys.readouterr().err


def test_shipped_weights_are_evaluated_without_torch():
    code = "import sys, lifter.evaluate; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.shared
@pytest.mark.skipif(not CMU.is_dir(), reason="the captured motion in ../shared is not part of the project")
def test_the_test_split_of_captured_motion(weights, tmp_path):
    document = run(tmp_path, "--weights", weights["frame"], "--data", CMU, "--every", 50)
    assert document["frames"] == 4 * 163  # of 7,357 in 38 clips, each clip's first among them
    # the data's own description has 17.0 for plain triangulation on a similar split
    assert 15 < document["triangulated"]["mpjpe_mm"] < 19
