"""How tall somebody is, from the lengths of the limbs: whether a rig's metre is a metre."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Shares of the stature: Drillis and Contini (1966), as in Winter, "Biomechanics and motor control of human movement".
LIMBS = {
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
}


def limb_lengths_m(joints: tuple[str, ...], points_m: Array) -> dict[str, tuple[float, float]]:
    """Median length, and spread as a share of it (half the middle two thirds), by limb as "hip-knee".

    points_m: (T, J, 3); both sides count as one. Limbs that were never seen whole are not in it.
    """
    told = {}
    for parent, child in LIMBS:
        sides = [
            np.linalg.norm(
                points_m[:, joints.index(f"{side}_{parent}")] - points_m[:, joints.index(f"{side}_{child}")], axis=-1
            )
            for side in ("left", "right")
            if f"{side}_{parent}" in joints and f"{side}_{child}" in joints
        ]
        lengths = np.concatenate([np.zeros(0), *sides])
        lengths = lengths[np.isfinite(lengths)]
        if len(lengths):
            low, middle, high = np.percentile(lengths, (17, 50, 83))
            told[f"{parent}-{child}"] = (float(middle), float((high - low) / 2 / middle))
    return told


def stature_m(lengths: dict[str, tuple[float, float]]) -> float:
    """Of limb_lengths_m; NaN when no limb is known."""
    shares = {"-".join(limb): share for limb, share in LIMBS.items()}
    known = [limb for limb in shares if limb in lengths]
    if not known:
        return float("nan")
    return sum(lengths[limb][0] for limb in known) / sum(shares[limb] for limb in known)
