"""The lifter in the live system: the whole call `lifter.lift(...)` on one core, beside torch; and on a GPU.

    python -m benchmarks.lifter_runtime [--calls N] [--json FILE] [--check]

Each call takes MediaPipe landmarks as rays and gives metric 3D in the cameras: joints derived, poses normalised
("prepare"), network run, results turned back. One process on one core, one thread. "torch" is the same call with
torch's eager mode in the place of ONNX Runtime, in turns with ours. The other rows of the table have 1 to 256 views on
each provider that the machine has. Weights are those that come with livepose3d; a network that is not there is made
with the default settings and random weights, which takes the same time.

"ONNX minus torch" is the largest difference over joints and roots, of a network of these settings with random weights
exported in this run, stored in 32 and in 16 bits.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.report import Report, parser, refuse
from configs.training import Model
from lifter import providers
from lifter.derive import derive
from lifter.normalise import normalise
from lifter.onnx_file import Card
from lifter.runtime import WEIGHTS, Lifter, load
from lifter.skeleton import BODY17, MEDIAPIPE33

F64 = npt.NDArray[np.float64]
Call = Callable[[], object]

BLOCK = 20  # calls of one method before the next has its turn; one by one they would push each other out of the cache
LAYOUTS = ((4, 1, 0.4), (8, 4, 1.5))  # views, people, aim in ms
UP_CAM = np.array([0.0, -0.97, -0.26])


def main() -> int:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--calls", type=int, default=2000, help="calls per figure (default %(default)s)")
    options = made.parse_args()
    try:
        import torch
    except ImportError:
        return refuse('torch is not installed: pip install -e ".[train]"')
    torch.set_num_threads(1)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    report = Report("lifter, whole calls on one core")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("frame", "sequence"):
            path = _weights(kind, Path(folder))
            _beside_torch(report, kind, path, options.calls)
            _by_provider(report, path, options.calls // 4)
    os.sched_setaffinity(0, allowed)
    return report.finish(options)


def _weights(kind: str, folder: Path) -> Path:
    """The shipped weight file of a kind, or one with random weights."""
    shipped = WEIGHTS / f"body17_{kind}.onnx"
    if shipped.is_file():
        return shipped
    print(f"{shipped.name} does not come with this version: random weights in the default network instead")
    made = folder / shipped.name
    made.write_bytes(_exported(Model.model_validate({"kind": kind}), half=True)[0])
    return made


def _exported(settings: Model, half: bool) -> tuple[bytes, float]:
    """A network with random weights as a weight file, and how far it is from torch in metres."""
    import torch

    from lifter.export import export
    from lifter.model import SequenceModel, build

    torch.manual_seed(0)
    model = build(settings, BODY17)
    with torch.no_grad():  # as trained ones are: no layer without an effect
        model.head.pose.weight.mul_(10.0)
        for norm in (each for each in model.modules() if isinstance(each, torch.nn.BatchNorm1d)):
            norm.weight.uniform_(0.5, 1.0)
    state_shape = model.state_shape if isinstance(model, SequenceModel) else None
    card = Card(model.kind, "body17", BODY17.joints, state_shape, None, settings.model_dump(), {}, "random", "", {})
    content, differences = export(model, card, half)
    return content, max(max(each.joints_m, each.root_m) for each in differences)


def _beside_torch(report: Report, kind: str, path: Path, calls: int) -> None:
    """The aims' layouts on the CPU, with where the time goes."""
    lifter = _on_cpu(path)
    settings = Model.model_validate(lifter.card.model)
    for views, people, aim_ms in LAYOUTS:
        rays, confidence = _landmarks(views * people)
        ours, torchs, prepare_ms = _in_turns(
            [
                _lift(lifter, rays, confidence),
                _lift_by_torch(settings, rays, confidence),
                lambda: normalise(*derive(rays, confidence, MEDIAPIPE33, BODY17), UP_CAM),  # noqa: B023
            ],
            calls,
        )
        report.row(
            network=kind,
            on="CPU",
            views=f"{views} × {people}",
            **_percentiles(ours),
            **{"prepare ms": float(np.median(prepare_ms)), "torch ms": float(np.median(torchs))},
            **{"times torch": float(np.median(torchs) / np.median(ours))},
        )
        report.aim(f"{kind}, {views} views × {people}, median ms on one core", float(np.median(ours)), aim_ms)
    for half, bits in ((False, 32), (True, 16)):
        report.aim(f"{kind}, ONNX minus torch in m, stored in {bits} bits", _exported(settings, half)[1], 1e-4)


def _by_provider(report: Report, path: Path, calls: int) -> None:
    """1 to 256 rows on each provider that this machine has."""
    lifters = [*_on_gpu(path), _on_cpu(path)]
    for rows in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        rays, confidence = _landmarks(rows)
        for lifter in lifters:
            times_ms = _in_turns([_lift(lifter, rays, confidence)], max(20, calls // max(1, rows // 16)))[0]
            report.row(network=lifter.kind, on=lifter.runs_on.split()[0], views=rows, **_percentiles(times_ms))


def _on_cpu(path: Path) -> Lifter:
    """On the CPU also where there is a GPU."""
    lifter = load(path, skeleton=MEDIAPIPE33)
    return Lifter(providers.open_on_cpu(path.read_bytes(), 1), lifter.card, BODY17, MEDIAPIPE33, "CPU", lifter.why)


def _on_gpu(path: Path) -> list[Lifter]:
    """TensorRT and CUDA, as far as they are here; says what is not and why."""
    try:
        gpu = providers.find_gpu()
    except providers.NotHereError as error:
        print(f"TensorRT and CUDA are not measured: {error}")
        return []
    model, card = path.read_bytes(), load(path).card
    on_cpu = providers.open_on_cpu(model, 1)
    shapes = {each.name: tuple(each.shape[1:]) for each in on_cpu.get_inputs()}
    makers: dict[str, Callable[[], object]] = {
        "TensorRT": lambda: providers.open_on_tensorrt(model, shapes, gpu, fp16=False),
        "CUDA": lambda: providers.open_on_cuda(model),
    }
    found = []
    for name, make in makers.items():
        try:
            found.append(Lifter(make(), card, BODY17, MEDIAPIPE33, f"{name} on {gpu.name}", ""))
        except providers.NotHereError as error:
            print(f"{name} is not measured: {error}")
    return found


def _landmarks(rows: int) -> tuple[F64, F64]:
    """Rays (rows, 33, 2) and confidences of people anywhere in the picture; a few landmarks are absent."""
    rng = np.random.default_rng(rows)
    rays = rng.uniform(-0.5, 0.5, (rows, 1, 2)) + rng.normal(size=(rows, 33, 2)) * [0.04, 0.1]
    rays[rng.uniform(size=(rows, 33)) < 0.05] = np.nan
    return rays, np.where(np.isfinite(rays).all(-1), rng.uniform(0.3, 1.0, (rows, 33)), 0.0)


def _lift(lifter: Lifter, rays: F64, confidence: F64) -> Call:
    if lifter.kind == "frame":
        return lambda: lifter.lift(rays, confidence, UP_CAM)
    state = lifter.start(len(rays))

    def step() -> object:
        nonlocal state
        lifts, state = lifter.lift_stream(rays, confidence, UP_CAM, state)
        return lifts

    return step


def _lift_by_torch(settings: Model, rays: F64, confidence: F64) -> Call:
    """The same work with torch in the place of ONNX Runtime."""
    import torch

    from lifter.model import SequenceModel, build

    model = build(settings, BODY17).eval()
    state = torch.zeros(len(rays), *getattr(model, "state_shape", ()))

    def call() -> object:
        nonlocal state
        views = normalise(*derive(rays, confidence, MEDIAPIPE33, BODY17), UP_CAM)
        inputs = torch.from_numpy(views.keypoints), torch.from_numpy(views.context)
        with torch.inference_mode():
            if isinstance(model, SequenceModel):
                lift, state = model.step(*inputs, state)
            else:
                lift = model(*inputs)
        R_view_cam = views.R_cam_view.transpose(0, 2, 1)
        return lift.joints_m.numpy() @ R_view_cam, lift.root_m.numpy()[:, None] @ R_view_cam, lift.sigma_m.numpy()

    return call


def _in_turns(methods: list[Call], calls: int) -> list[F64]:
    """Times of each call in ms, the methods taking turns, so that a busy moment of the machine meets all alike."""
    times_ms: list[list[float]] = [[] for _ in methods]
    for _ in range(1 + calls // BLOCK):
        for method, told in zip(methods, times_ms, strict=True):
            for _ in range(BLOCK):
                started_ns = time.perf_counter_ns()
                method()
                told.append((time.perf_counter_ns() - started_ns) / 1e6)
    return [np.array(told[BLOCK:]) for told in times_ms]


def _percentiles(times_ms: F64) -> dict[str, float]:
    return {"p50 ms": float(np.percentile(times_ms, 50)), "p99 ms": float(np.percentile(times_ms, 99))}


if __name__ == "__main__":
    sys.exit(main())
