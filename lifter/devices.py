"""Where a training runs: which device, which of several processes (torchrun), and in which precision."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from lifter.errors import LifterError


@dataclass(frozen=True)
class Device:
    """One process of a training."""

    torch_device: torch.device
    rank: int
    processes: int
    half: bool  # matrix products in bfloat16

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


def open_device(name: str, precision: str = "fastest") -> Device:
    """The device by name ("auto", "cpu", "cuda", …); joins the others when torchrun started this process.

    Raises LifterError when torch does not have it.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    if name.startswith("cuda") and not cuda:
        raise LifterError("--device cuda: torch finds no NVIDIA GPU; use --device cpu")
    kind = ("cuda" if cuda else "cpu") if name == "auto" else name
    try:
        device = torch.device(f"cuda:{local_rank}" if kind == "cuda" else kind)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        told = str(error).partition("\n")[0]
        raise LifterError(
            f"--device {name}: torch has no such device ({told}); use auto, cpu, cuda or cuda:1"
        ) from error
    half = precision == "fastest" and _has_bfloat16(device)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Device(device, dist.get_rank(), dist.get_world_size(), half)
    return Device(device, 0, 1, half)


def any_of(asked: bool, device: Device) -> bool:
    """Whether any of several processes asks; all of them have to call this at the same step."""
    flag = torch.tensor(int(asked), device=device.torch_device)
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag.item())


def close_device() -> None:
    """Leave the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there: GPUs since Ampere, CPUs with AVX-512 BF16 or AMX (2.3 times float32 measured)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
