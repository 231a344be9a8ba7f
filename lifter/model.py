"""The networks: a frame model (residual MLP) and a causal sequence model, with one output head for both.

Input of both: `keypoints` (N, J, 3) and `context` (N, 3) of `lifter.normalise.Views`. Output of both: a `Lift` in the
virtual camera ("view" frame), metres. The sequence model takes (N, L, …) and sees the past only, so it can run live:
`step` takes one frame and the state that the frames before it left.

Sources: the residual MLP is Martinez et al., "A simple yet effective baseline for 3d human pose estimation" (ICCV
2017), as "3D Pose Estimation Using 2D Supervision" uses it; the dilated causal layers follow Pavllo et al., "3D human
pose estimation in video with temporal convolutions" (CVPR 2019). The ray head is ours.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from configs.training import Model as Settings
from lifter.skeleton import Skeleton

CONTEXT = 3  # numbers per view beside the keypoints
TYPICAL_SIZE_M = 0.45  # root mean square distance of a standing person's joints from their middle, across the view
TYPICAL_SIGMA_M = 0.05


class Lift(NamedTuple):
    """Poses in the view frame. The leading axes are those of the input.

    joints_m (…, J, 3): relative to the root. sigma_m (…, J): one standard deviation per axis. root_m (…, 3): where
    the root is; see `place`.
    """

    joints_m: Tensor
    sigma_m: Tensor
    root_m: Tensor


def build(settings: Settings, skeleton: Skeleton) -> "FrameModel | SequenceModel":
    """The network that the settings describe, freshly initialised from torch's random state."""
    return FrameModel(settings, skeleton) if settings.kind == "frame" else SequenceModel(settings, skeleton)


class FrameModel(nn.Module):
    """One frame of one view: linear to `width`, residual blocks of two linear layers, head."""

    kind = "frame"

    def __init__(self, settings: Settings, skeleton: Skeleton) -> None:
        super().__init__()
        self.settings, self.skeleton = settings, skeleton
        self.stem = _layer(3 * len(skeleton.joints) + CONTEXT, settings.width, settings.dropout)
        self.blocks = _blocks(settings)
        self.head = _head(settings, skeleton)

    def forward(self, keypoints: Tensor, context: Tensor) -> Lift:
        h = self.stem(torch.cat([keypoints.flatten(1), context], dim=1))
        for block in self.blocks:
            h = h + block(h)
        return self.head(h, keypoints, context)


class SequenceModel(nn.Module):
    """The past and present of one view: the frame model's layers, then layers that also look back.

    Layer i sees its own input `dilations[i]` frames ago; together they see `receptive_field` frames. A new layer adds
    nothing (its last scale is zero), so a sequence model that starts with a frame model's weights starts as good as it.
    """

    kind = "sequence"

    def __init__(self, settings: Settings, skeleton: Skeleton) -> None:
        super().__init__()
        self.settings, self.skeleton = settings, skeleton
        width, dropout = settings.width, settings.dropout
        self.dilations = settings.dilations
        self.receptive_field = 1 + sum(self.dilations)
        self.state_shape = (sum(self.dilations), width // 2)
        self.stem = _layer(3 * len(skeleton.joints) + CONTEXT, width, dropout)
        self.blocks = _blocks(settings)
        self.memory = nn.ModuleList(_looking_back(width, dropout) for _ in self.dilations)
        self.head = _head(settings, skeleton)

    def forward(self, keypoints: Tensor, context: Tensor) -> Lift:
        """All frames of N windows at once, (N, L, …); before the first frame of a window there is nothing (zeros)."""
        n, length = keypoints.shape[:2]
        rows = keypoints.flatten(0, 1), context.flatten(0, 1)
        h = self._present(*rows)
        for dilation, layer in zip(self.dilations, self.memory, strict=True):
            windows = h.reshape(n, length, -1)
            past = nn.functional.pad(windows, (0, 0, dilation, 0))[:, :length]
            h = h + layer(torch.cat([past.flatten(0, 1), h], dim=-1))
        return Lift(*(part.reshape(n, length, *part.shape[1:]) for part in self.head(h, *rows)))

    def step(self, keypoints: Tensor, context: Tensor, state: Tensor) -> tuple[Lift, Tensor]:
        """The next frame of N streams. state (N, *state_shape): what `step` gave for the frame before, or zeros.

        What is remembered of a frame is its part of the narrow layer's input: half as much as its features, and
        computed once.
        """
        h = self._present(keypoints, context)
        kept = []
        for memory, layer in zip(torch.split(state, list(self.dilations), dim=1), self.memory, strict=True):
            narrow, *rest = cast(nn.Sequential, layer)
            W_past, W_present = cast(nn.Linear, narrow).weight.chunk(2, dim=1)
            kept.extend([memory[:, 1:], (h @ W_past.T)[:, None]])
            h = h + nn.Sequential(*rest)(
                memory[:, 0] + nn.functional.linear(h, W_present, cast(nn.Linear, narrow).bias)
            )
        return self.head(h, keypoints, context), torch.cat(kept, dim=1)

    def _present(self, keypoints: Tensor, context: Tensor) -> Tensor:
        h = self.stem(torch.cat([keypoints.flatten(1), context], dim=1))
        for block in self.blocks:
            h = h + block(h)
        return h


def _blocks(settings: Settings) -> nn.ModuleList:
    width, dropout = settings.width, settings.dropout
    return nn.ModuleList(
        nn.Sequential(*_layer(width, width, dropout), *_layer(width, width, dropout)) for _ in range(settings.blocks)
    )


def _looking_back(width: int, dropout: float) -> nn.Sequential:
    """From past and present (2 width) through a narrow layer to what is added to the present (width)."""
    last = nn.BatchNorm1d(width)
    nn.init.zeros_(last.weight)
    return nn.Sequential(*_layer(2 * width, width // 2, dropout), nn.Linear(width // 2, width, bias=False), last)


def place(lift: Lift, keypoints: Tensor, context: Tensor) -> Lift:
    """The lift with its root where the pose meets its own 2D best, in closed form: what a weight file gives.

    For joints p with tangents n = (x/z, y/z) and confidence w, t minimises Σ w |p_xy + t_xy − n (p_z + t_z)|². The root
    that the head gives serves the published loss alone: under the others nothing ties it to metres.
    """
    tangent = keypoints[..., :2] * context[:, 0].exp()[:, None, None]
    weight = keypoints[..., 2:]
    total = weight.sum(dim=1, keepdim=True).clamp_min(1e-6)
    beside = tangent * lift.joints_m[..., 2:] - lift.joints_m[..., :2]  # t_xy = n t_z + beside, for each joint
    middle, middle_beside = ((weight * x).sum(dim=1, keepdim=True) / total for x in (tangent, beside))
    spread = (weight * (tangent - middle).square()).sum(dim=(1, 2))
    depth_m = -(weight * (tangent - middle) * (beside - middle_beside)).sum(dim=(1, 2)) / spread.clamp_min(1e-9)
    across_m = middle[:, 0] * depth_m[:, None] + middle_beside[:, 0]
    return lift._replace(root_m=torch.cat([across_m, depth_m[:, None]], dim=1))


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
    )


def _head(settings: Settings, skeleton: Skeleton) -> "Head":
    return Head(settings.width, len(skeleton.joints), skeleton.root, rays=settings.head == "rays")


class Head(nn.Module):
    """Features to a Lift.

    rays: a joint is where its ray, corrected by a learned offset, meets its depth: for 2D n and depth z (relative to
    the body's depth d = size / scale, with its size learned) the joint is (n + offset) · scale · (d + z). What the
    picture shows is thus kept at any distance, and an absent joint (n = 0) is all offset. Otherwise, the paper's way:
    3J plain coordinates. The sigmas learn from the same features without shaping them (detached).
    """

    def __init__(self, width: int, n_joints: int, root: int, rays: bool) -> None:
        super().__init__()
        self.root, self.rays = root, rays
        self.pose = nn.Linear(width, 3 * n_joints + 1)
        self.log_sigma = nn.Linear(width, n_joints)
        nn.init.normal_(self.pose.weight, std=0.002)
        nn.init.zeros_(self.pose.bias)

    def forward(self, features: Tensor, keypoints: Tensor, context: Tensor) -> Lift:
        with torch.autocast(features.device.type, enabled=False):  # half precision is too coarse for millimetres
            features = features.float()
            pose = self.pose(features)
            joints, size = pose[:, :-1].unflatten(1, (-1, 3)), pose[:, -1]
            scale = context[:, 0].exp()
            size_m = TYPICAL_SIZE_M * (0.3 * size.clamp(-3, 3)).exp()
            place = self._on_rays if self.rays else self._plain
            joints_m, root_m = place(joints, keypoints, scale, size_m)
            sigma_m = TYPICAL_SIGMA_M * self.log_sigma(features.detach()).clamp(-4, 4).exp()
            return Lift(joints_m, sigma_m, root_m)

    def _on_rays(self, joints: Tensor, keypoints: Tensor, scale: Tensor, size_m: Tensor) -> tuple[Tensor, Tensor]:
        across = (size_m[:, None] + scale[:, None] * joints[..., 2]).unsqueeze(-1)  # scale · depth
        at_m = torch.cat([(keypoints[..., :2] + joints[..., :2]) * across, joints[..., 2:]], dim=-1)
        root_m = at_m[:, self.root]
        depth_m = torch.stack([torch.zeros_like(scale), torch.zeros_like(scale), size_m / scale], dim=-1)
        return at_m - root_m[:, None], root_m + depth_m

    def _plain(self, joints: Tensor, _: Tensor, scale: Tensor, size_m: Tensor) -> tuple[Tensor, Tensor]:
        root = joints[:, self.root]
        depth_m = torch.stack([torch.zeros_like(scale), torch.zeros_like(scale), size_m / scale], dim=-1)
        return joints - root[:, None], root + depth_m
