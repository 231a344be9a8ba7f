"""Joints in turns of bones: the pose of a figure of rigid bones that comes nearest to the fused joints.

Least squares over all joints at once, by turns: the position of the root, then every node, each put where the squared
distances of all that hangs on it are least while the others stay (in closed form: the direction of a sum). A node's
turn in the world moves what hangs on it without turning it, so every step makes the sum less.
What the joints leave open: the turn of an elbow's or knee's bones about themselves follows the plane in which it bends,
as far as it bends; other bones turn the shortest way from the bone above. Where nothing of a bone was seen, it keeps
its turn against the bone above, and somebody who is not there at all stands still.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nodes.exporting.bodies import nearest_rotation
from nodes.exporting.figure import HINGE_AXES, HINGES, Figure, Node

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
SWEEPS = 40  # at most
SETTLED_M = 0.0005  # what a sweep still moves where no more is to be had
USUAL_SIGMA_M = 0.02  # joints that are less sure than this count less
BENT = (0.1, 0.45)  # sine of the bend from which on its plane begins to count, and counts alone
NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Turns:
    """root_m: (B, 3) place of the root. local: (B, N, 3, 3) turn of each node against the one that it hangs on."""

    root_m: F64
    local: F64


class Solver:
    """Solves for one person, block after block; it remembers how every bone was turned last.

    offset_m: (J, 3) as `nodes.exporting.bodies.measure` has it.
    """

    def __init__(self, figure: Figure, offset_m: F64) -> None:
        self.figure, self.offset_m = figure, offset_m
        self._below = {end: figure.below(end) for node in figure.nodes for end in node.ends}
        self._last = np.tile(np.eye(3), (len(figure.nodes), 1, 1))
        self._root_m = figure.rest_m[figure.root].copy()
        self._in_figure = np.array([name not in figure.left_out for name in figure.joints])
        self._bones = [_Bone(node, offset_m) for node in figure.nodes]

    def solve(self, joints_m: F64, sigma_m: F64) -> Turns:
        """The turns at B moments. joints_m: (B, J, 3) y up, with middles; sigma_m: (B, J of the skeleton)."""
        known = np.isfinite(joints_m).all(-1) & self._in_figure
        n = sigma_m.shape[1]
        weight = known.astype(np.float64)
        weight[:, :n] /= 1.0 + (np.nan_to_num(sigma_m) / USUAL_SIGMA_M) ** 2
        weight[:, n:] = 0.0
        x = np.where(known[..., None], joints_m, 0.0)
        p = self._begin(x, known)
        moving = np.arange(len(p))
        for _ in range(SWEEPS):
            after = p[moving]
            self._sweep(x[moving], weight[moving], after)
            farthest_m = np.abs(after - p[moving]).max(axis=(1, 2))
            p[moving] = after
            moving = moving[farthest_m > SETTLED_M]
            if not len(moving):
                break
        return self._turns(weight, p)

    def _begin(self, x: F64, known: Flags) -> F64:
        """Places (B, J, 3) by pointing every bone where its ends are; those not known hang as they did last."""
        root = self.figure.root
        p = np.zeros_like(x)
        p[:, root] = np.where(known[:, root, None], x[:, root], _middle(x, known, self._root_m))
        world = np.zeros((len(x), len(self.figure.nodes), 3, 3))
        for i, (node, bone) in enumerate(zip(self.figure.nodes, self._bones, strict=True)):
            above = world[:, node.parent] if node.parent >= 0 else np.eye(3)
            guess = np.broadcast_to(above @ self._last[i], (len(x), 3, 3))
            ends = list(node.ends)
            seen = known[:, node.at, None] & known[:, ends]
            world[:, i] = bone.turned(np.where(seen[..., None], x[:, ends] - x[:, node.at, None], 0.0), guess)
            p[:, ends] = p[:, node.at, None] + bone.arms(world[:, i])
        return p

    def _sweep(self, x: F64, weight: F64, p: F64) -> None:
        """Better places, in place: first the root's, then what each node carries."""
        total = weight.sum(axis=1)[:, None]
        p += (_weighted(x, weight, p) / np.maximum(total, NOTHING))[:, None]
        for node, bone in zip(self.figure.nodes, self._bones, strict=True):
            if not node.ends:
                continue
            arms = p[:, list(node.ends)] - p[:, node.at, None]
            pulls = np.stack(
                [
                    _weighted(x[:, below], weight[:, below], p[:, below])
                    + weight[:, below].sum(axis=1)[:, None] * arms[:, k]
                    for k, below in enumerate(self._below[end] for end in node.ends)
                ],
                axis=1,
            )
            moved = bone.moved(pulls, arms) - arms
            for k, end in enumerate(node.ends):
                p[:, self._below[end]] += moved[:, k, None]

    def _turns(self, weight: F64, p: F64) -> Turns:
        """Turns from places, top down."""
        B = len(p)
        world = np.zeros((B, len(self.figure.nodes), 3, 3))
        local = np.zeros_like(world)
        for i, (node, bone) in enumerate(zip(self.figure.nodes, self._bones, strict=True)):
            above = world[:, node.parent] if node.parent >= 0 else np.broadcast_to(np.eye(3), (B, 3, 3))
            toward = list(node.ends) or self.figure.carried(i)
            below = [joint for end in toward for joint in self._below[end]]
            known = weight[:, below].sum(axis=1) > NOTHING
            arms = p[:, toward] - p[:, node.at, None]
            if node.ends:
                turned = self._twisted(node, bone.turned(arms, above), arms, p, weight)
            else:  # it carries nothing but other nodes: as these lie
                turned = nearest_rotation(np.einsum("bei,ej->bij", arms, self.offset_m[toward]), above)
            own, self._last[i] = _held(np.swapaxes(above, -1, -2) @ turned, known, self._last[i])
            local[:, i] = own
            world[:, i] = above @ own
        root_m, self._root_m = _held(p[:, self.figure.root], weight.sum(axis=1) > NOTHING, self._root_m)
        return Turns(root_m, local)

    def _twisted(self, node: Node, turned: F64, arms: F64, p: F64, weight: F64) -> F64:
        """Turned about the bone itself, where something tells how: the bend of a hinge, the back above the hips."""
        figure = self.figure
        if node.parent < 0:
            back = next((end for other in figure.nodes if other.parent == 0 and other.at == node.at
                         for end in other.ends), None)  # fmt: skip
            if back is None or len(node.ends) < 2:
                return turned
            return _twist(turned, arms[:, 0], turned @ np.array([0.0, 1.0, 0.0]), p[:, back] - p[:, node.at])
        end = figure.joints[node.ends[0]]
        hinge = next((each for each in HINGES if end.endswith(f"_{each}")), None)
        tip = end.removesuffix(hinge) + HINGES[hinge] if hinge else ""
        if hinge is None or tip not in figure.joints:
            return turned
        below = figure.joints.index(tip)
        upper, lower = _unit(arms[:, 0]), _unit(p[:, below] - p[:, node.ends[0]])
        normal = np.cross(upper, lower)
        sine = np.linalg.norm(normal, axis=-1, keepdims=True)
        share = np.clip((sine - BENT[0]) / (BENT[1] - BENT[0]), 0.0, 1.0)
        share = share**2 * (3 - 2 * share) * (weight[:, self._below[below]].sum(axis=1) > NOTHING)[:, None]
        usual = turned @ HINGE_AXES[end]
        return _twist(turned, upper, usual, share * normal / np.maximum(sine, NOTHING) + (1 - share) * usual)


class _Bone:
    """What a node points: a bone, or the two hips, which lie on one line through the pelvis."""

    def __init__(self, node: Node, offset_m: F64) -> None:
        self.offset_m = offset_m[list(node.ends)]
        if node.ends:
            self.along = self.offset_m[0] / np.linalg.norm(self.offset_m[0])
            self.reach = self.offset_m @ self.along  # (E,) with a sign: a hip lies on either side

    def arms(self, turned: F64) -> F64:
        """(B, E, 3) from the node to its ends."""
        return np.einsum("bij,ej->bei", turned, self.offset_m)

    def moved(self, pulls: F64, arms: F64) -> F64:
        """The arms (B, E, 3) that follow the pulls best; where nothing pulls, as they were."""
        along = np.einsum("e,bei->bi", self.reach, pulls)
        size = np.linalg.norm(along, axis=-1, keepdims=True)
        along = along / np.maximum(size, NOTHING)
        return np.where(size[:, None] > NOTHING, self.reach[:, None] * along[:, None], arms)

    def turned(self, arms: F64, guess: F64) -> F64:
        """Turns (B, 3, 3) onto arms, the shortest way from a guess."""
        if not len(self.offset_m):
            return guess
        toward = np.einsum("e,bei->bi", self.reach, arms)
        return shortest_turn(guess @ self.along, toward) @ guess


def places(figure: Figure, offset_m: F64, turns: Turns) -> F64:
    """The joints (B, J, 3) of a figure so turned; NaN for those that it leaves out."""
    p = np.full((len(turns.root_m), len(figure.joints), 3), np.nan)
    p[:, figure.root] = turns.root_m
    world = np.zeros_like(turns.local)
    for i, node in enumerate(figure.nodes):
        world[:, i] = world[:, node.parent] @ turns.local[:, i] if node.parent >= 0 else turns.local[:, i]
        ends = list(node.ends)
        p[:, ends] = p[:, node.at, None] + np.einsum("bij,ej->bei", world[:, i], offset_m[ends])
    return p


def shortest_turn(from_: F64, to: F64) -> F64:
    """Rotations (B, 3, 3) that turn directions (B, 3) into others the shortest way; none where one has no length."""
    a, b = _unit(from_), _unit(to)
    none = (np.linalg.norm(a, axis=-1) < 0.5) | (np.linalg.norm(b, axis=-1) < 0.5)
    v, c = np.cross(a, b), np.einsum("bi,bi->b", a, b)
    K = np.zeros((len(a), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -v[:, 2], v[:, 1], -v[:, 0]
    K -= np.swapaxes(K, -1, -2)
    R = np.eye(3) + K + (K @ K) / np.maximum(1.0 + c, NOTHING)[:, None, None]
    back = c < -1.0 + 1e-8  # half a turn, about anything square to it
    if back.any():
        square = _unit(np.cross(a[back], np.eye(3)[np.abs(a[back]).argmin(axis=-1)]))
        R[back] = 2.0 * square[:, :, None] * square[:, None, :] - np.eye(3)
    R[none] = np.eye(3)
    return R


def _twist(turned: F64, along: F64, is_now: F64, to_be: F64) -> F64:
    """Turned on about `along` (B, 3), so that what points to is_now comes as near to to_be as can be."""
    axis = _unit(along)
    a = is_now - axis * np.einsum("bi,bi->b", axis, is_now)[:, None]
    b = to_be - axis * np.einsum("bi,bi->b", axis, to_be)[:, None]
    clear = (np.linalg.norm(a, axis=-1) > 1e-4) & (np.linalg.norm(b, axis=-1) > 1e-4)
    angle = np.arctan2(np.einsum("bi,bi->b", axis, np.cross(a, b)), np.einsum("bi,bi->b", a, b))
    half = np.where(clear, angle, 0.0)[:, None, None]
    outer = axis[:, :, None] * axis[:, None, :]
    K = np.zeros_like(outer)
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    K -= np.swapaxes(K, -1, -2)
    about = np.cos(half) * (np.eye(3) - outer) + outer + np.sin(half) * K
    return np.where(clear[:, None, None], about @ turned, turned)


def _middle(x: F64, known: Flags, otherwise: F64) -> F64:
    """The middle (B, 3) of what is known."""
    count = known.sum(axis=1)[:, None]
    return np.where(count > 0, x.sum(axis=1) / np.maximum(count, 1), otherwise)


def _weighted(x: F64, weight: F64, p: F64) -> F64:
    pull: F64 = np.einsum("bj,bji->bi", weight, x - p)
    return pull


def _held(values: F64, known: Flags, before: F64) -> tuple[F64, F64]:
    """Values (B, …), where not known the last ones that were; and the last of all."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    held = np.where((last >= 0).reshape(-1, *[1] * (values.ndim - 1)), values[last], before)
    return held, held[-1].copy()


def _unit(v: F64) -> F64:
    out: F64 = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), NOTHING)
    return out
