"""Adapt a lifter to your own cameras, detector and people, from multi-view 2D alone.

    python -m lifter.adapt --weights runs/frame/lifter.pt --data my_recordings --out adapted.pt

DIR holds neutral recordings (docs/lifter.md) of two or more calibrated cameras; nobody has to label anything. A part
of the 2D is withheld: each camera in turn for two seconds, or with two cameras both, every fifth time. The weights
change to explain the rest, and are kept only while they explain the withheld part better. Where they do not, the
weights that were given are written, and that is said. Then: python -m lifter.export adapted.pt

Source: test-time adaptation as in "3D Pose Estimation Using 2D Supervision" (Adam, 4e-5, batch statistics frozen); the
loss, and stopping by withheld views, are ours.
"""

import argparse
import copy
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from configs.adaptation import Adaptation, adaptation_of
from configs.errors import ConfigError
from configs.training_data import Recordings
from lifter import checkpoint, losses
from lifter.datasets.batch import Batch
from lifter.datasets.errors import DatasetError
from lifter.datasets.recorded import RecordingSource
from lifter.datasets.recording import Recording
from lifter.datasets.select import select
from lifter.derive import DeriveError
from lifter.devices import Device, open_device
from lifter.errors import LifterError
from lifter.forward import lift_batch
from lifter.model import FrameModel, SequenceModel

JUDGED_FRAMES = 2048  # looked at each time, always the same ones
JUDGED_AT_ONCE = 256
FIFTH = 5  # with two cameras, a fifth of the time is withheld


@dataclass(frozen=True)
class Look:
    """How good the weights were after some steps."""

    step: int
    miss_mm: float  # of the lifts in withheld views, at the joint
    mpjpe_mm: float  # of single views to the truth; NaN where the recordings have none

    def __str__(self) -> str:
        truth = "" if math.isnan(self.mpjpe_mm) else f", single-view MPJPE {self.mpjpe_mm:.1f} mm"
        return f"withheld views missed by {self.miss_mm:.1f} mm{truth}"


@dataclass(frozen=True)
class Adapted:
    """The best weights that were found, or those that were given; the first look is the one before."""

    model: FrameModel | SequenceModel
    history: list[Look]
    helped: bool

    @property
    def best(self) -> Look:
        return min(self.history, key=lambda look: look.miss_mm)


def adapt(
    model: FrameModel | SequenceModel,
    recordings: Sequence[Recording],
    settings: Adaptation,
    device: Device | None = None,
    tell: Callable[[Look], object] | None = None,
) -> Adapted:
    """Fine-tune a copy of the model on recordings of two or more cameras; the model itself is not changed.

    tell is called after each look. Raises DatasetError when a recording has one camera, or nothing could be withheld.
    """
    device = device or Device(torch.device("cpu"), 0, 1, False)
    window = settings.window if isinstance(model, SequenceModel) else 1
    everything = [recording.as_skeleton(model.skeleton) for recording in recordings]
    kept = [_without(recording, withheld(recording, settings.block_s)) for recording in everything]
    source = RecordingSource(kept, model.skeleton, window, settings.mirrored, settings.level)
    exam = _Exam(everything, kept, model, window, settings, device)
    adapting = copy.deepcopy(model).to(device.torch_device).eval()
    optimizer = torch.optim.Adam(adapting.parameters(), lr=settings.learning_rate)
    history = [exam.look(adapting, 0)]
    if math.isnan(history[0].miss_mm):
        raise DatasetError("no view of these recordings can be held against the others: too few people or joints seen")
    tell = tell or (lambda _: None)
    tell(history[0])
    best = copy.deepcopy(adapting.state_dict())
    for step in range(1, settings.steps + 1):
        batch = source.draw(max(1, settings.frames_per_step // window), np.random.default_rng([settings.seed, step]))
        _learn(adapting, batch, optimizer, device)
        if step % settings.judge_every == 0 or step == settings.steps:
            history.append(exam.look(adapting, step))
            tell(history[-1])
            if history[-1].miss_mm < min(look.miss_mm for look in history[:-1]):
                best = copy.deepcopy(adapting.state_dict())
            if _has_had_its_best(history, settings.patience):
                break
    helped = min(look.miss_mm for look in history) < (1 - settings.least_gain) * history[0].miss_mm
    if helped:
        adapting.load_state_dict(best)
    return Adapted(adapting.cpu() if helped else copy.deepcopy(model), history, helped)


def withheld(recording: Recording, block_s: float) -> npt.NDArray[np.bool_]:
    """What the weights are judged by and never see, (T, C): in each block of time one camera, the next one in turn.

    With two cameras one alone would remain, which teaches nothing: of these both are withheld, every fifth block.
    """
    T, C = recording.confidence.shape[:2]
    if C < 2:
        raise DatasetError(f"{recording.name} has one camera; adaptation learns from how cameras agree: it needs two")
    fps = recording.fps if math.isfinite(recording.fps) else 30.0
    turns = C if C > 2 else FIFTH
    frames = max(1, min(round(block_s * fps), T // turns))
    turn = np.arange(T) // frames % turns
    if C == 2:
        return np.repeat((turn == FIFTH - 1)[:, None], C, axis=1)
    return turn[:, None] == np.arange(C)


def _without(recording: Recording, mask: npt.NDArray[np.bool_]) -> Recording:
    """The recording with views (T, C) made absent."""
    return replace(recording, confidence=np.where(mask[..., None], np.float32(0.0), recording.confidence))


def _learn(model: FrameModel | SequenceModel, batch: Batch, optimizer: torch.optim.Optimizer, device: Device) -> None:
    """One step; the network stays in evaluation mode, so its batch statistics stay those of the training."""
    lift, scene = lift_batch(model, batch, device)
    losses.label_free(lift, scene).total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _has_had_its_best(history: list[Look], patience: int) -> bool:
    best = min(range(len(history)), key=lambda i: history[i].miss_mm)
    return len(history) - 1 - best >= patience


class _Exam:
    """The same frames each time: all their 2D, and which of it was withheld from learning."""

    def __init__(
        self,
        everything: list[Recording],
        kept: list[Recording],
        model: FrameModel | SequenceModel,
        window: int,
        settings: Adaptation,
        device: Device,
    ) -> None:
        self._root, self._device = model.skeleton.root, device
        sources = [RecordingSource(each, model.skeleton, window, 0.0, settings.level) for each in (everything, kept)]
        wanted = min(JUDGED_FRAMES, 2 * sources[0].frames) // window + 1
        counts = [min(JUDGED_AT_ONCE, wanted - done) for done in range(0, wanted, JUDGED_AT_ONCE)]
        self._batches = [  # both sources hold the same frames, so the same seed draws the same ones
            tuple(source.draw(count, np.random.default_rng([settings.seed, 0, i])) for source in sources)
            for i, count in enumerate(counts)
        ]

    def look(self, model: FrameModel | SequenceModel, step: int) -> Look:
        """Judge weights. Withheld views take no part in placing the poses that are held against them.

        With two cameras both are withheld at once, and nothing else is left to place their poses: they are placed by
        the withheld 2D itself, so what counts is only how each pose disagrees with the other view.
        """
        misses_m, errors_m = [], []
        for batch, learnt in self._batches:
            with torch.no_grad():
                lift, scene = lift_batch(model, batch, self._device)
                seen = torch.from_numpy(learnt.weight).to(scene.weight.device).transpose(1, 2).flatten(0, 1)
                secret = scene.weight * (seen == 0)
                places = torch.where(seen.sum((1, 2), keepdim=True) > 0, seen, scene.weight)
                misses_m.append(losses.unseen_miss(lift, scene._replace(weight=places), secret))
                errors_m.append(losses.joint_errors_m(lift, scene, self._root).flatten())
        miss_mm = 1000 * float(torch.stack(misses_m).nanmean())
        return Look(step, miss_mm, 1000 * float(torch.cat(errors_m).nanmean()))


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 also when the weights were better left as they were."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        return _run(options)
    except (ConfigError, DatasetError, DeriveError, LifterError, OSError) as error:
        print(f"adapt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("adapt: stopped; nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lifter.adapt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="a checkpoint of lifter.train (.pt)")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of neutral recordings (.npz)")
    parser.add_argument("--files", nargs="+", default=["*.npz"], metavar="PATTERN", help="which of them (default: all)")
    parser.add_argument("--actions", nargs="+", metavar="ACTION", help="only frames of these actions")
    parser.add_argument("--cameras", nargs="+", metavar="NAME", help="only these cameras")
    parser.add_argument("--keypoints", choices=("detected", "projected"), default="detected", help="2D to learn from")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the adapted checkpoint")
    parser.add_argument("--set", action="extend", nargs="+", metavar="KEY=VALUE", help="settings: learning_rate=1e-4 …")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, …")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: all cores)")
    return parser


def _run(options: argparse.Namespace) -> int:
    settings = adaptation_of(options.set or [])
    given = checkpoint.load(options.weights)
    chosen = Recordings(
        files=options.files, actions=options.actions, cameras=options.cameras, keypoints=options.keypoints
    )
    recordings = select(chosen, options.data, given.model.skeleton)
    frames = sum(len(recording.chunk) for recording in recordings)
    print(f"{len(recordings)} recordings, {frames} frames: {', '.join(recording.name for recording in recordings)}")
    adapted = adapt(given.model, recordings, settings, open_device(options.device, "float32"), _print_look)
    before, best = adapted.history[0], adapted.best
    print(f"before: {before}")
    print(f"after:  {best}" if adapted.helped else f"best:   {best}")
    if not adapted.helped:
        print("adaptation does not help on these recordings: the weights are written as they were given")
    figures = {"adapted_from_miss_mm": before.miss_mm, "adapted_to_miss_mm": best.miss_mm}
    measured = {key: value for key, value in given.metrics.items() if key != "validation_mpjpe_mm"}  # of other weights
    metrics = measured | figures if adapted.helped else given.metrics
    checkpoint.save(replace(given, model=adapted.model, metrics=metrics, optimizers=[]), options.out)
    print(f"written: {options.out}; for the live system: python -m lifter.export {options.out}")
    return 0


def _print_look(look: Look) -> None:
    print(f"step {look.step}: {look}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
