"""A training step in batched tensor operations, beside the same step with a Python loop over samples and view pairs.

    python -m benchmarks.lifter_training [--cameras 4] [--threads N] [--json FILE] [--check]

Both ways train the same network on the same 2D by the loss of "3D Pose Estimation Using 2D Supervision" (Jain, Faiz and
Chakraborty): 128 frames a step, as they do (they have three views). In the loop each pose of each view is turned and
projected into each view on its own, as in their published code; this is our own rebuilding of that way, for comparison
alone. Network, loss, backward pass and optimizer step are timed in turns, in float32; drawing the batch is not. A third
row is our step with the batch and precision that our trainings use. A sample is one view of one frame.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.report import Report, parser, refuse
from benchmarks.scenes import landmarks_at
from calibration import rigid
from configs.training import Bodies, Faults, Model, Motion, Rigs
from lifter import losses
from lifter.datasets.batch import Batch
from lifter.datasets.motion import MotionSource
from lifter.datasets.motion_file import Clip
from lifter.derive import derive
from lifter.devices import Device, open_device
from lifter.forward import lift_batch
from lifter.losses import MIN_DEPTH_M, Scene
from lifter.model import Lift, build
from lifter.skeleton import BODY17, MEDIAPIPE33

LossOf = Callable[[Lift, Scene], Tensor]

FRAMES = 128
TURNS = 3  # of the loop; it takes seconds
FAST_STEPS = 20  # of the batched way, per turn of the loop
AIM = 50.0
SAME = 1e-4
OUR_FRAMES = 512  # of configs/lifter/best_frame.yaml
LOOP, BATCHED, AS_WE_TRAIN = "loop over samples and views", "batched", "batched, 512 frames, bfloat16 where it is fast"


def published(lift: Lift, scene: Scene) -> Tensor:
    """Our way: all frames, views and pairs of views in one tensor operation each."""
    return losses.published(lift, scene).total


class OneByOne:
    """The slow twin, for one batch: one projection of one pose at a time, through quaternions and a lens.

    The same loss: its lenses have no distortion, as our undistorted rays want it, but are computed as published.
    """

    def __init__(self, batch: Batch) -> None:
        self._from_view = _quaternions(batch.R_world_view[:, :, 0])
        self._from_cam = _quaternions(batch.R_cam_world.swapaxes(-1, -2))
        self._lens = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # f, f, c, c, k1, k2, k3, p1, p2

    def __call__(self, lift: Lift, scene: Scene) -> Tensor:
        N, C, J = scene.weight.shape
        projected = []
        for n in range(N):
            for i in range(C):
                for j in range(C):
                    pose_m = lift.joints_m[n, i] + lift.root_m[n, i]
                    world_m = _turned(self._from_view[n, i].tile(J, 1), pose_m) + scene.centre_m[n, i]
                    to_cam = _inverse(self._from_cam[n, j]).tile(J, 1)
                    projected.append(_through_lens(_turned(to_cam, world_m - scene.centre_m[n, j]), self._lens))
        return _loss_of_projections(torch.stack(projected).reshape(N, C, C, J, 2), scene)


def _quaternions(R: npt.NDArray[np.float32]) -> Tensor:
    """(N, C, 4) w x y z of rotations (N, C, 3, 3)."""
    vectors = np.array([[rigid.rotvec_from_rotation(one.astype(np.float64)) for one in row] for row in R])
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    axis = vectors / np.maximum(angle, 1e-12)
    return torch.from_numpy(np.concatenate([np.cos(angle / 2), np.sin(angle / 2) * axis], axis=-1)).float()


def _inverse(q: Tensor) -> Tensor:
    return torch.cat([q[:1], -q[1:]])


def _turned(q: Tensor, points: Tensor) -> Tensor:
    """Points (J, 3) turned by unit quaternions (J, 4)."""
    across = torch.linalg.cross(q[:, 1:], points)
    return points + 2 * (q[:, :1] * across + torch.linalg.cross(q[:, 1:], across))


def _through_lens(points_m: Tensor, lens: Tensor) -> Tensor:
    """Image points (J, 2) of a pose (J, 3) in the camera, with OpenCV's distortion."""
    ideal = points_m[:, :2] / points_m[:, 2:].clamp_min(MIN_DEPTH_M)
    r2 = ideal.square().sum(dim=-1, keepdim=True)
    radial = 1 + (lens[4:7] * torch.cat([r2, r2**2, r2**3], dim=-1)).sum(dim=-1, keepdim=True)
    tangential = 2 * (lens[7:].flip(0) * ideal).sum(dim=-1, keepdim=True)
    return lens[:2] * (ideal * (radial + tangential) + lens[7:].flip(0) * r2) + lens[2:4]


def _loss_of_projections(projected: Tensor, scene: Scene) -> Tensor:
    """The published loss of projections (N, P, C, J, 2), pair of views by pair; every view has seen something."""
    C = projected.shape[1]
    own, other, apart = _Mean(), _Mean(), _Mean()
    for i in range(C):
        for j in range(C):
            miss = (projected[:, i, j] - scene.rays[:, j]).norm(dim=-1)
            (own if i == j else other).add(miss, scene.weight[:, j])
            for k in set(range(C)) - {i}:
                apart.add((projected[:, i, j] - projected[:, k, j]).norm(dim=-1), scene.weight[:, j] ** 2)
    return own.value() + other.value() + apart.value()


class _Mean:
    """A weighted mean that is collected piece by piece."""

    def __init__(self) -> None:
        self._values: list[Tensor] = []
        self._weights: list[Tensor] = []

    def add(self, values: Tensor, weight: Tensor) -> None:
        self._values.append((values * weight).sum())
        self._weights.append(weight.sum())

    def value(self) -> Tensor:
        return torch.stack(self._values).sum() / torch.stack(self._weights).sum().clamp_min(1e-6)


class Trainee:
    """One network and its optimizer, trained on one batch by one way of computing the loss."""

    def __init__(self, batch: Batch, loss_of: LossOf, half: bool = False) -> None:
        torch.manual_seed(0)
        self._batch, self._loss_of = batch, loss_of
        self._model = build(Model(), BODY17)
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=1e-4)
        self._device = Device(torch.device("cpu"), 0, 1, half)

    def loss(self) -> Tensor:
        return self._loss_of(*lift_batch(self._model, self._batch, self._device))

    def step_s(self) -> tuple[float, float]:
        """Seconds of one training step, and of its loss and the loss's gradient alone."""
        begun = time.perf_counter()
        lift, scene = lift_batch(self._model, self._batch, self._device)
        at_loss = Lift(*(part.detach().requires_grad_() for part in lift))
        lifted = time.perf_counter()
        self._loss_of(at_loss, scene).backward()  # type: ignore[no-untyped-call]
        judged = time.perf_counter()
        torch.autograd.backward([lift.joints_m, lift.root_m], [_grad(at_loss.joints_m), _grad(at_loss.root_m)])
        self._optimizer.step()
        self._optimizer.zero_grad()
        return time.perf_counter() - begun, judged - lifted


def _grad(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def source(cameras: int) -> MotionSource:
    """The virtual actor's motion, seen by a detector that errs and misses."""
    clips = []
    for motion in ("walk", "reach", "crouch"):
        landmarks_m = landmarks_at(motion, np.arange(300) / 30.0)
        joints_m, _ = derive(landmarks_m, np.ones(landmarks_m.shape[:2]), MEDIAPIPE33, BODY17)
        clips.append(Clip(motion, "actor", motion, 30.0, joints_m.astype(np.float32)))
    faults = Faults(noise_px=(3.0, 3.0), missing=0.05)
    settings = Motion(bodies=Bodies(), rigs=Rigs(cameras=cameras), faults=faults)
    return MotionSource(clips, BODY17, settings, window=1)


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--cameras", type=int, default=4, help="views of each frame (default: 4)")
    made.add_argument("--threads", type=int, help="of torch (default: all cores)")
    options = made.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    batch, large = (source(options.cameras).draw(frames, rng) for frames in (FRAMES, OUR_FRAMES))
    half = open_device("cpu").half
    trainees = {
        LOOP: Trainee(batch, OneByOne(batch)),
        BATCHED: Trainee(batch, published),
        AS_WE_TRAIN: Trainee(large, published, half),
    }
    difference = abs(float(trainees[LOOP].loss().detach()) - float(trainees[BATCHED].loss().detach()))
    if not difference < SAME:
        return refuse(f"the two ways differ by {difference:.2g} in the loss, so they are not the same training")
    times_s: dict[str, list[tuple[float, float]]] = {way: [] for way in trainees}
    for _ in range(TURNS):
        for way, trainee in trainees.items():
            times_s[way] += [trainee.step_s() for _ in range(1 if way == LOOP else FAST_STEPS)]
    return tell(times_s, options.cameras, difference).finish(options)


def tell(times_s: dict[str, list[tuple[float, float]]], cameras: int, difference: float) -> Report:
    """Medians as a report."""
    title = f"training step, {FRAMES} frames × {cameras} views, torch with {torch.get_num_threads()} threads"
    report = Report(f"{title}; losses differ by {difference:.0e}")
    steps_s = {way: statistics.median(step for step, _ in times) for way, times in times_s.items()}
    losses_s = {way: statistics.median(loss for _, loss in times) for way, times in times_s.items()}
    frames = {LOOP: FRAMES, BATCHED: FRAMES, AS_WE_TRAIN: OUR_FRAMES}
    rates = {way: frames[way] * cameras / step_s for way, step_s in steps_s.items()}
    for way, step_s in steps_s.items():
        row = {"step ms": 1000 * step_s, "of it the loss": 1000 * losses_s[way], "samples/s": f"{rates[way]:.0f}"}
        report.row(way=way, **row)
    report.aim(
        "samples per second, batched over loop, all else equal", rates[BATCHED] / rates[LOOP], AIM, at_least=True
    )
    report.aim("samples per second, as we train over loop", rates[AS_WE_TRAIN] / rates[LOOP], AIM, at_least=True)
    report.aim("loss and its gradient alone", losses_s[LOOP] / losses_s[BATCHED], AIM, at_least=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
