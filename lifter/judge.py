"""Lifts takes and tallies how far they are from the truth: each view by itself, all views as one, and triangulation.

With several good views `merge` gets most of its accuracy from geometry, as triangulation does, whatever the lifter: a
network with random weights merges to 41 mm from four views. What the lifter itself is worth shows in the single views
and in their plain average.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.triangulate import triangulate
from lifter import runtime
from lifter.merge import merge
from lifter.metrics import Tally, root_relative
from lifter.protocol import Take
from lifter.skeleton import SKELETONS, Skeleton

F64 = npt.NDArray[np.float64]


@dataclass
class Verdict:
    """Tallies over the takes so far, of joints in the skeleton's order."""

    skeleton: Skeleton
    moments: int = 0  # frames of a rig
    views: int = 0
    single: dict[str, Tally] = field(default_factory=dict)  # by action
    averaged: dict[str, Tally] = field(default_factory=dict)  # over the views, in world axes, without any 2D
    merged: dict[str, Tally] = field(default_factory=dict)
    triangulated: dict[str, Tally] = field(default_factory=dict)

    def add(self, take: Take, joints_cam_m: F64, sigma_m: F64) -> None:
        """Judge a take's lifts: (T, C, J, 3) root-relative in the cameras, and (T, C, J); NaN where there are none."""
        root = self.skeleton.root
        truth_m = root_relative(take.joints_m, root)
        truth_cam_m = np.einsum("cij,tkj->tcki", take.R_cam_world, truth_m)
        one = merge(joints_cam_m, sigma_m, take.rays, take.confidence, take.R_cam_world, take.centre_m, root)
        averaged_m, triangulated_m = _averaged(joints_cam_m, take.R_cam_world), _triangulated(take)
        self.moments += len(take.rays)
        self.views += take.rays.shape[0] * take.rays.shape[1]
        for action in np.unique(take.action):
            of = take.action == action
            _add(self.single, action, Tally.of(joints_cam_m[of], truth_cam_m[of], root, sigma_m[of]))
            _add(self.averaged, action, Tally.of(averaged_m[of], truth_m[of], root))
            _add(self.merged, action, Tally.of(one.joints_m[of], truth_m[of], root))
            _add(self.triangulated, action, Tally.of(triangulated_m[of], truth_m[of], root))


def _add(tallies: dict[str, Tally], label: np.str_, tally: Tally) -> None:
    action = str(label)
    tallies[action] = tallies[action] + tally if action in tallies else tally


def _averaged(joints_cam_m: F64, R_cam_world: F64) -> F64:
    """(T, J, 3) world axes, of the views that were lifted; NaN where there is none."""
    lifted = np.isfinite(joints_cam_m).all((-2, -1))[..., None, None]
    total = (np.where(lifted, joints_cam_m, 0.0) @ R_cam_world).sum(1)
    count = lifted.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _triangulated(take: Take) -> F64:
    """(T, J, 3) world, from the same 2D without any lifter; NaN where fewer than two views agree."""
    rig, pixels = take.rig_arrays(), take.rays * take.focal_px[:, None, None]
    each = zip(pixels, take.confidence, strict=True)
    return np.array([triangulate(rig, keypoints_px, confidence).points_m for keypoints_px, confidence in each])


def judge_takes(verdict: Verdict, lifter: runtime.Lifter, takes: Sequence[Take], every: int = 1) -> None:
    """Lift takes of the same length and rate, and judge the first frame and every n-th after it.

    A sequence model streams through all the frames before, from the start of the takes, side by side; when they have
    more frames a second than the model was trained on, through those that come nearest to its rate.
    """
    if lifter.kind == "frame":
        for take in (take.every(every) for take in takes):
            verdict.add(take, *_lift(lifter, take))
        return
    fps, rate_hz = takes[0].fps, lifter.card.rate_hz
    step = max(1, round(fps / rate_hz)) if rate_hz and fps > 0 else 1
    takes = [take.every(step) for take in takes]
    for take, (joints_cam_m, sigma_m) in zip(takes, _stream(lifter, takes), strict=True):
        verdict.add(take.every(every), joints_cam_m[::every], sigma_m[::every])


def alike(takes: Iterable[Take]) -> Iterator[list[Take]]:
    """Takes that follow each other with the same length and rate, together, as `judge_takes` wants them."""
    for _, group in groupby(takes, key=lambda take: (len(take.rays), take.fps)):
        yield list(group)


def _lift(lifter: runtime.Lifter, take: Take) -> tuple[F64, F64]:
    T, C, J, _ = take.rays.shape
    up_cam = np.broadcast_to(take.up_cam, (T, C, 3)).reshape(-1, 3)
    lifts = lifter.lift(take.rays.reshape(-1, J, 2), take.confidence.reshape(-1, J), up_cam)
    return lifts.joints_cam_m.reshape(T, C, J, 3), lifts.sigma_m.reshape(T, C, J)


def _stream(lifter: runtime.Lifter, takes: Sequence[Take]) -> list[tuple[F64, F64]]:
    """Joints and sigmas of each take; one call per frame for the views of all."""
    rays, confidence = (np.concatenate([getattr(take, key) for take in takes], 1) for key in ("rays", "confidence"))
    up_cam = np.concatenate([take.up_cam for take in takes])
    state = lifter.start(len(up_cam))
    joints_cam_m, sigma_m = np.empty((*rays.shape[:2], len(lifter.skeleton.joints), 3)), np.empty(confidence.shape)
    for t in range(len(rays)):
        lifts, state = lifter.lift_stream(rays[t], confidence[t], up_cam, state)
        joints_cam_m[t], sigma_m[t] = lifts.joints_cam_m, lifts.sigma_m
    ends = np.cumsum([len(take.up_cam) for take in takes])[:-1]
    return list(zip(np.split(joints_cam_m, ends, axis=1), np.split(sigma_m, ends, axis=1), strict=True))


def open_weights(path: Path | None) -> runtime.Lifter:
    """Weights to evaluate, ready to run: .onnx (None: the shipped ones) without torch, a checkpoint (.pt) with it.

    Raises LifterError.
    """
    if path is None or path.suffix != ".pt":
        return runtime.load(path)
    from lifter import checkpoint  # torch, for those who train; the shipped weights are evaluated without
    from lifter.export import as_graph, card_of

    read = checkpoint.load(path)
    skeleton = SKELETONS[read.training.skeleton]
    card = card_of(read, rate_hz=None)
    return runtime.Lifter(_TorchSession(as_graph(read.model.eval())), card, skeleton, skeleton, "torch on the CPU", "")


class _TorchSession:
    """A network of torch in the place of an ONNX Runtime session."""

    def __init__(self, model: Any) -> None:
        self._run = model

    def run(self, _: None, inputs: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
        """The outputs in the order of a weight file."""
        import torch

        with torch.no_grad():
            outputs = self._run(*(torch.from_numpy(array) for array in inputs.values()))
        return [tensor.numpy() for tensor in outputs]
