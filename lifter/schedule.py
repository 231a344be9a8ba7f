"""How the weights move: the optimizers and their learning rate over time."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from configs.training import Training

WARMUP_STEPS = 200
MUON_SHARE = 20.0  # Muon's learning rate over Adam's: its steps have unit spectral norm, Adam's are about 1 per weight


def learning_rate(training: Training, step: int, steps: int) -> float:
    """Constant from the first step on, or a warm-up and half a cosine down to nothing."""
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / steps))


def optimizers_of(model: nn.Module, training: Training) -> list[Optimizer]:
    """One optimizer, or two: Muon (Jordan 2024) for the square-ish hidden matrices and AdamW for all the rest.

    Each group carries `share`, its learning rate as a multiple of the schedule's.
    """
    if training.optimizer == "adam":
        return [torch.optim.Adam(_groups(list(model.parameters()), 1.0), lr=training.learning_rate)]
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith(("blocks.", "memory."))]
    chosen = hidden if training.optimizer == "muon" else []
    taken = {id(p) for p in chosen}
    rest = [p for p in model.parameters() if id(p) not in taken]
    adamw = torch.optim.AdamW(_groups(rest, 1.0), lr=training.learning_rate, weight_decay=training.weight_decay)
    if not chosen:
        return [adamw]
    rate = training.learning_rate * MUON_SHARE
    return [adamw, torch.optim.Muon(_groups(chosen, MUON_SHARE), lr=rate, weight_decay=training.weight_decay)]


def _groups(parameters: list[nn.Parameter], share: float) -> list[dict[str, object]]:
    return [{"params": parameters, "share": share}]
