"""A batch through a network: from numpy's (sample, camera, frame) to the network's rows and back to moments."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lifter.datasets.batch import Batch
from lifter.devices import Device
from lifter.losses import Scene
from lifter.model import Lift


def lift_batch(model: nn.Module, batch: Batch, device: Device) -> tuple[Lift, Scene]:
    """The lifts of all views (N moments, C views, …) and the scene they are judged by."""
    B, C, L, J, _ = batch.keypoints.shape
    on = _mover(device)
    keypoints, context = on(batch.keypoints), on(batch.context)
    sequence = _bare(model).kind == "sequence"
    rows = (B * C, L) if sequence else (B * C * L,)
    with torch.autocast(device.torch_device.type, torch.bfloat16, enabled=device.half):
        lift = model(keypoints.reshape(*rows, J, 3), context.reshape(*rows, -1))

    def moments(x: Tensor) -> Tensor:
        """(B, C, L, …) to (B · L, C, …)."""
        return x.reshape(B, C, L, *x.shape[len(rows) :]).transpose(1, 2).flatten(0, 1)

    def seen(x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(0, 1)

    def camera(x: Tensor) -> Tensor:
        return x.unsqueeze(1).expand(-1, L, *x.shape[1:]).flatten(0, 1)

    scene = Scene(
        seen(on(batch.R_world_view)),
        seen(on(batch.rays)),
        seen(on(batch.weight)),
        camera(on(batch.R_cam_world)),
        camera(on(batch.centre_m)),
        on(batch.joints_m).flatten(0, 1),
    )
    return Lift(*(moments(part) for part in lift)), scene


def _bare(model: nn.Module) -> nn.Module:
    """The network inside torch's wrapper for several processes."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def _mover(device: Device) -> Callable[[npt.NDArray[np.float32]], Tensor]:
    return lambda array: torch.from_numpy(array).to(device.torch_device, non_blocking=True)
