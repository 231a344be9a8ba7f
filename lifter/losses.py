"""The three ways to learn: from 3D labels, as published from 2D alone, and ours from 2D alone. Pure torch.

Axes: N moments, P predicting views, C observing views, J joints. Everything is in metres or in normalised image
coordinates (x/z, y/z); absent joints have weight 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lifter.model import Lift

MIN_DEPTH_M = 0.3  # a prediction behind a camera is pulled to the front, instead of dividing by nothing
OUTLIER_M = 0.15  # observations that miss the placed body by this much lose half their weight in placing it
SIGMA_SHARE = 0.01  # the sigmas have their own features' gradient stopped, so this is only their learning rate


class Loss(NamedTuple):
    """What is minimised, and beside it the mean 2D miss (metres at the joint) or 3D error that it came from."""

    total: Tensor
    miss_m: Tensor


class Scene(NamedTuple):
    """The tensors of a `datasets.batch.Batch`, moments first: N = samples × frames."""

    R_world_view: Tensor  # (N, P, 3, 3)
    rays: Tensor  # (N, C, J, 2)
    weight: Tensor  # (N, C, J)
    R_cam_world: Tensor  # (N, C, 3, 3)
    centre_m: Tensor  # (N, C, 3)
    joints_m: Tensor  # (N, J, 3), NaN without labels


def of_way(way: str, lift: Lift, scene: Scene, root: int) -> Loss:
    """The loss by its name in the settings."""
    if way == "supervised":
        return supervised(lift, scene, root)
    return label_free(lift, scene) if way == "label_free" else published(lift, scene)


def supervised(lift: Lift, scene: Scene, root: int) -> Loss:
    """Mean distance to the 3D labels, relative to the root, in each view (MPJPE)."""
    miss_m, known = _errors(lift, scene, root)
    sigma_loss = _mean(_surprise(miss_m, lift.sigma_m, axes=3), known.float())
    mean_m = _mean(miss_m, known.float())
    return Loss(mean_m + SIGMA_SHARE * sigma_loss, mean_m.detach())


def label_free(lift: Lift, scene: Scene) -> Loss:
    """Ours: each view's pose is placed by all views' 2D, then has to reproject into all of them.

    A pose tells nothing about where it stands, and one view tells its depth badly; given the pose, the position is a
    linear least-squares problem over the rays of all views, so it is solved, not learned. The miss is measured in
    metres at the joint (as MPJPE is) and not squared, so that a few wrong detections do not rule.
    """
    pose = torch.einsum("npij,npkj->npki", scene.R_world_view, lift.joints_m)
    bodies_m = pose + _place(pose, scene)[:, :, None]
    miss_m = _miss(bodies_m, scene)  # (N, P, C, J)
    able = (scene.weight.sum(-1) > 0).float()  # views that could be lifted
    weight = able[:, :, None, None] * scene.weight[:, None]
    others = weight * (1 - torch.eye(weight.shape[1], device=weight.device))[None, :, :, None]
    sigma_loss = _mean(_surprise(miss_m, lift.sigma_m[:, :, None], axes=2), others)
    mean_m = _mean(miss_m, weight)
    return Loss(mean_m + SIGMA_SHARE * sigma_loss, mean_m.detach())


def unseen_miss(lift: Lift, scene: Scene, withheld: Tensor) -> Tensor:
    """What adaptation is judged by: how far each pose is from what other views saw that had no part in placing it.

    scene.weight (N, C, J) places the poses; withheld (N, C, J) are the weights of what they are held against. The
    result is the mean, metres at the joint; NaN when nothing was withheld.
    """
    pose = torch.einsum("npij,npkj->npki", scene.R_world_view, lift.joints_m)
    miss_m = _miss(pose + _place(pose, scene)[:, :, None], scene)
    able = (scene.weight.sum(-1) > 0).float()
    others = 1 - torch.eye(withheld.shape[1], device=withheld.device)
    weight = able[:, :, None, None] * withheld[:, None] * others[None, :, :, None]
    return (miss_m * weight).sum() / weight.sum()


def published(lift: Lift, scene: Scene) -> Loss:
    """Jain, Faiz and Chakraborty, "3D Pose Estimation Using 2D Supervision": reconstruction plus consistency.

    The network also says where the root is. Its pose of view i projected into view j has to meet what j saw (i = j and
    i ≠ j averaged apart), and what view k's pose projects to there. Distances in normalised image coordinates.
    """
    absolute = lift.joints_m + lift.root_m[:, :, None]
    bodies_m = torch.einsum("npij,npkj->npki", scene.R_world_view, absolute) + scene.centre_m[:, :, None]
    projected = _project(bodies_m, scene)[0]  # (N, P, C, J, 2)
    miss = (projected - scene.rays[:, None]).norm(dim=-1)
    own = torch.eye(miss.shape[1], device=miss.device)[None, :, :, None]
    weight = scene.weight[:, None] * (scene.weight.sum(-1) > 0).float()[:, :, None, None]
    apart = (projected[:, :, None] - projected[:, None]).square().sum(-1).clamp_min(1e-12).sqrt()  # (N, P, P, C, J)
    pairs = (1 - torch.eye(miss.shape[1], device=miss.device))[None, :, :, None, None]
    consistency = _mean(apart, pairs * weight[:, :, None] * weight[:, None])
    total = _mean(miss, weight * own) + _mean(miss, weight * (1 - own)) + consistency
    return Loss(total, _mean(miss.detach(), weight))


def joint_errors_m(lift: Lift, scene: Scene, root: int) -> Tensor:
    """Root-relative distances to the truth (N, P, J); NaN where it is unknown or the view had nothing to lift."""
    error_m, known = _errors(lift, scene, root)
    return torch.where(known, error_m, torch.nan)


def _errors(lift: Lift, scene: Scene, root: int) -> tuple[Tensor, Tensor]:
    """Distances (N, P, J), metres, and which of them mean something: the others have finite gradients all the same."""
    relative = scene.joints_m - scene.joints_m[:, root : root + 1]
    target = torch.einsum("npji,nkj->npki", scene.R_world_view, relative.nan_to_num())
    known = relative.isfinite().all(-1)[:, None] & (scene.weight.sum(-1, keepdim=True) > 0)
    return (lift.joints_m - target).norm(dim=-1), known


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def _surprise(miss_m: Tensor, sigma_m: Tensor, axes: int) -> Tensor:
    """Negative log-likelihood of a Gaussian miss over that many axes; the miss is data here, only sigma learns."""
    return miss_m.detach().square() / (2 * sigma_m.square()) + axes * sigma_m.log()


def _place(pose: Tensor, scene: Scene) -> Tensor:
    """Where each pose (N, P, J, 3), world axes, stands (N, P, 3): the least-squares meeting of all views' rays.

    Minimises Σ w |(I − r rᵀ)(pose_j + t − c)|² over t; once more with the weights of the outliers reduced (Cauchy).
    """
    rays = torch.nn.functional.pad(scene.rays, (0, 1), value=1.0)
    rays = torch.einsum("ncij,ncki->nckj", scene.R_cam_world, rays / rays.norm(dim=-1, keepdim=True))
    across = torch.eye(3, device=rays.device) - rays[..., :, None] * rays[..., None, :]  # (N, C, J, 3, 3)
    from_cam = pose[:, :, None] - scene.centre_m[:, None, :, None]  # (N, P, C, J, 3)
    offset = torch.einsum("nckij,npckj->npcki", across, from_cam)
    weight = scene.weight[:, None].expand(offset.shape[:-1])
    position = _solve(across, offset, weight)
    miss2 = (offset + torch.einsum("nckij,npj->npcki", across, position)).detach().square().sum(-1)
    return _solve(across, offset, weight / (1 + miss2 / OUTLIER_M**2))


def _solve(across: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    A = torch.einsum("npck,nckij->npij", weight, across) + 1e-6 * torch.eye(3, device=across.device)
    b = -torch.einsum("npck,npcki->npi", weight, offset)
    return torch.linalg.solve(A, b.unsqueeze(-1)).squeeze(-1)


def _project(bodies_m: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
    """Normalised coordinates (N, P, C, J, 2) of world bodies (N, P, J, 3) in all views, and their depths (…, 1)."""
    from_cam = bodies_m[:, :, None] - scene.centre_m[:, None, :, None]
    in_cam = torch.einsum("ncij,npckj->npcki", scene.R_cam_world, from_cam)
    depth_m = in_cam[..., 2:].clamp_min(MIN_DEPTH_M)
    return in_cam[..., :2] / depth_m, depth_m


def _miss(bodies_m: Tensor, scene: Scene) -> Tensor:
    """How far (N, P, C, J), metres at the joint's depth, the bodies' projections are from what the views saw."""
    projected, depth_m = _project(bodies_m, scene)
    return ((projected - scene.rays[:, None]) * depth_m.detach()).square().sum(-1).clamp_min(1e-12).sqrt()
