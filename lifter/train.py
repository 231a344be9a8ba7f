"""Train a lifter.

    python -m lifter.train --config configs/lifter/best_frame.yaml --data DIR --out runs/frame

Writes OUT/last.pt every few hundred steps and OUT/lifter.pt at the end, with TensorBoard curves in OUT/curves. The same
command goes on where a run was stopped, by Ctrl-C or by kill -9, and ends with the very same weights. Several GPUs or
machines: `torchrun --nproc-per-node 4 -m lifter.train …`; frames_per_step is then shared out among them.
"""

import argparse
import math
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from configs.errors import ConfigError
from configs.load_training import load_training
from configs.training import Training
from lifter import checkpoint, losses
from lifter.checkpoint import Checkpoint
from lifter.datasets.batch import Batch
from lifter.datasets.errors import DatasetError
from lifter.datasets.opening import Source, open_source
from lifter.derive import DeriveError
from lifter.devices import Device, any_of, close_device, open_device
from lifter.errors import LifterError
from lifter.forward import lift_batch
from lifter.model import FrameModel, SequenceModel, build
from lifter.schedule import learning_rate, optimizers_of
from lifter.skeleton import SKELETONS, Skeleton
from lifter.validation import single_view_mpjpe_mm

AHEAD = 3  # batches drawn in advance, beside the training step
LOOK_EVERY = 20  # steps between looks at the loss, which wait for the device


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lifter.train", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="settings, as in configs/lifter/best_frame.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder with the files that the settings name")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints and curves; a run goes on there"
    )
    parser.add_argument(
        "--set", action="extend", nargs="+", metavar="KEY=VALUE", help="change settings: model.width=256"
    )
    parser.add_argument("--init", type=Path, help="begin with the weights of this checkpoint (fine-tuning)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: all cores)")
    args = parser.parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        training = load_training(args.config, args.set or [])
        code = train(training, args.data, args.out, open_device(args.device, training.precision), args.init)
        close_device()
        return code
    except (ConfigError, DatasetError, DeriveError, LifterError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train: stopped at once; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def train(training: Training, data: Path, out: Path, device: Device, init: Path | None = None) -> int:
    """Run or resume a training; 0 when it is complete, 130 when it was interrupted."""
    skeleton = _skeleton(training.skeleton)
    source = open_source(training.train, data, skeleton, training.window)
    _refuse_what_cannot_teach(training, source)
    steps = training.steps or math.ceil((training.epochs or 1) * source.frames / training.frames_per_step)
    validation = training.validate_on and open_source(training.validate_on, data, skeleton, training.window)
    state = _begin(training, skeleton, out, init)
    model = state.model.to(device.torch_device)
    trained = _shared_out(model, training) if device.processes > 1 else model
    optimizers = optimizers_of(model, training)
    for optimizer, kept in zip(optimizers, state.optimizers, strict=bool(state.optimizers)):
        optimizer.load_state_dict(kept)

    def save(name: str) -> None:
        if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
            raise _no_number(state.step)
        if device.leads:
            state.optimizers = [optimizer.state_dict() for optimizer in optimizers] if name == "last.pt" else []
            checkpoint.save(state, out / name)

    curves = SummaryWriter(out / "curves", purge_step=state.step) if device.leads else None
    with _Interrupt() as interrupt, _progress(device) as progress:
        bar = progress.add_task("training", total=steps, completed=state.step, loss="", mpjpe="")
        for batch in _batches(source, training, device, state.step, steps):
            _set_mode(trained, dropout=state.step < training.dropout_until * steps)
            torch.manual_seed(_seed(training, device, state.step))  # of dropout: resuming repeats it exactly
            rate = learning_rate(training, state.step, steps)
            lift, scene = lift_batch(trained, batch, device)
            loss = losses.of_way(training.way, lift, scene, skeleton.root)
            gradient = _step(model, loss, optimizers, rate, training.clip_norm)
            state.step += 1
            if state.step % LOOK_EVERY == 0 and not torch.isfinite(loss.total + gradient):
                raise _no_number(state.step)
            stop = _asked(interrupt, device, state.step)
            _tell(progress, bar, curves, state, loss)
            if validation and (state.step % training.validate_every == 0 or state.step == steps):
                _validate(state, validation, device, progress, bar, curves)
            if state.step % training.checkpoint_every == 0 or state.step == steps or stop:
                save("last.pt")
            if stop:
                progress.console.print(f"stopped at step {state.step}; the same command goes on from here")
                return 130
    save("lifter.pt")
    return 0


def _skeleton(name: str) -> Skeleton:
    if name not in SKELETONS:
        raise ConfigError(f"skeleton: there is no {name!r}; known are {', '.join(SKELETONS)}")
    return SKELETONS[name]


def _refuse_what_cannot_teach(training: Training, source: Source) -> None:
    if training.way == "supervised" and not source.labelled:
        raise ConfigError("way: supervised needs 3D labels, and these recordings have none (gt3d); set way=label_free")
    if training.way != "supervised" and source.fewest_cameras < 2:
        raise ConfigError(
            f"way: {training.way} learns from how views agree: it needs two cameras, "
            f"some data have {source.fewest_cameras}; add a camera, or set way=supervised where there are 3D labels"
        )


def _begin(training: Training, skeleton: Skeleton, out: Path, init: Path | None) -> Checkpoint:
    """The state of a stopped run in `out`, or a new one."""
    out.mkdir(parents=True, exist_ok=True)
    commit = checkpoint.commit_of(Path(__file__).parent)
    last = out / "last.pt"
    if last.is_file():
        state = checkpoint.load(last)
        if state.training != training:
            raise LifterError(f"{last} is of a training with other settings; give another --out, or remove it")
        return state
    torch.manual_seed(training.seed)
    model = build(training.model, skeleton)
    if init is not None:
        _take_weights(model, checkpoint.load(init), init)
    return Checkpoint(model, training, step=0, commit=commit)


def _take_weights(model: FrameModel | SequenceModel, start: Checkpoint, path: Path) -> None:
    """Begin with the weights of another training; a sequence model may begin with a frame model's."""
    if start.model.skeleton != model.skeleton:
        raise LifterError(f"--init {path} is for {start.model.skeleton.name}, this training for {model.skeleton.name}")
    weights, own = start.model.state_dict(), model.state_dict()
    other = [name for name in weights if name not in own or weights[name].shape != own[name].shape]
    if other:
        raise LifterError(f"--init {path}: its network is another one (width, blocks, kind?): {', '.join(other[:4])} …")
    model.load_state_dict({**own, **weights})


def _seed(training: Training, device: Device, step: int) -> int:
    return int(np.random.SeedSequence([training.seed, device.rank, step]).generate_state(1)[0])


def _batches(source: Source, training: Training, device: Device, first: int, steps: int) -> Iterator[Batch]:
    """The batches of the steps to go. Each depends on seed, process and step alone: a resumed run meets the same."""
    samples = max(1, training.frames_per_step // (device.processes * training.window))

    def draw(step: int) -> Batch:
        return source.draw(samples, np.random.default_rng([training.seed, device.rank, step]))

    with ThreadPoolExecutor(1) as ahead:
        drawn = [ahead.submit(draw, step) for step in range(first, min(first + AHEAD, steps))]
        for step in range(first, steps):
            if step + AHEAD < steps:
                drawn.append(ahead.submit(draw, step + AHEAD))
            yield drawn.pop(0).result()


def _shared_out(model: nn.Module, training: Training) -> DistributedDataParallel:
    """For several processes. The published loss has no sigmas, so their weights get no gradient."""
    return DistributedDataParallel(model, find_unused_parameters=training.way == "published")


def _step(
    model: nn.Module, loss: losses.Loss, optimizers: list[Optimizer], rate: float, clip_norm: float | None
) -> Tensor:
    """Change the weights; returns the length of the gradient before it was clipped."""
    loss.total.backward()  # type: ignore[no-untyped-call]
    gradient = nn.utils.clip_grad_norm_(model.parameters(), clip_norm or math.inf)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        optimizer.step()
        optimizer.zero_grad()
    return gradient


def _no_number(step: int) -> LifterError:
    return LifterError(f"the loss is no number at step {step}; lower learning_rate")


def _asked(interrupt: "_Interrupt", device: Device, step: int) -> bool:
    """Whether to stop now. Several processes have to stop at the same step, or the others would wait forever."""
    if device.processes == 1:
        return interrupt.asked
    return step % LOOK_EVERY == 0 and any_of(interrupt.asked, device)


def _set_mode(model: nn.Module, dropout: bool) -> None:
    """The paper switches the whole network to evaluation for its second half: no dropout, batch statistics frozen."""
    if model.training != dropout:
        model.train(dropout)


def _tell(progress: Progress, bar: TaskID, curves: SummaryWriter | None, state: Checkpoint, loss: losses.Loss) -> None:
    if curves is None:
        return
    if state.step % LOOK_EVERY == 0:
        curves.add_scalar("train/loss", loss.total.item(), state.step)
        curves.add_scalar("train/miss_mm", 1000 * loss.miss_m.item(), state.step)
        progress.update(bar, loss=f"{loss.total.item():.4f}")
    progress.advance(bar)


def _validate(
    state: Checkpoint, source: Source, device: Device, progress: Progress, bar: TaskID, curves: SummaryWriter | None
) -> None:
    """Measure on the same batches each time, and keep the figure in the checkpoint."""
    if curves is None:
        return
    mpjpe_mm = single_view_mpjpe_mm(state.model, source, device)
    state.metrics["validation_mpjpe_mm"] = mpjpe_mm
    curves.add_scalar("validation/mpjpe_mm", mpjpe_mm, state.step)
    progress.update(bar, mpjpe=f"validation {mpjpe_mm:.1f} mm")
    progress.console.print(f"step {state.step}: validation {mpjpe_mm:.1f} mm single-view MPJPE")


def _progress(device: Device) -> Progress:
    columns = ("[progress.description]{task.description}", "loss {task.fields[loss]}", "{task.fields[mpjpe]}")
    texts = [TextColumn(column) for column in columns]
    return Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), *texts, disable=not device.leads)


class _Interrupt:
    """Ctrl-C (or SIGTERM) asks for a stop after the step that runs; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "_Interrupt":
        self._before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


if __name__ == "__main__":
    sys.exit(main())
