"""The figure that is watched while a training runs."""

import numpy as np
import torch

from lifter.datasets.opening import Source
from lifter.devices import Device
from lifter.forward import lift_batch
from lifter.losses import joint_errors_m
from lifter.model import FrameModel, SequenceModel

BATCHES, SAMPLES = 8, 256
SEED = 123


def single_view_mpjpe_mm(model: FrameModel | SequenceModel, source: Source, device: Device) -> float:
    """Mean root-relative distance to the truth over views, frames and joints of the same random batches each time.

    Of a window the sequence model is judged on the last frame, where it has seen all the past that it can.
    """
    was_training = model.training
    model.eval()
    rng = np.random.default_rng(SEED)
    errors = [_errors_m(model, source, rng, device) for _ in range(BATCHES)]
    model.train(was_training)
    return 1000 * float(torch.cat(errors).mean())


def _errors_m(
    model: FrameModel | SequenceModel, source: Source, rng: np.random.Generator, device: Device
) -> torch.Tensor:
    batch = source.draw(SAMPLES // 8 if model.kind == "sequence" else SAMPLES, rng)
    with torch.no_grad():
        lift, scene = lift_batch(model, batch, device)
    error_m = joint_errors_m(lift, scene, model.skeleton.root)
    last = error_m.reshape(-1, batch.keypoints.shape[2], *error_m.shape[1:])[:, -1]
    return last[last.isfinite()]
