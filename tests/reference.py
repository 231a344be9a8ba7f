"""The reference session: what fusion made of it once, and what it makes of it now. `python -m tests.reference`.

A change of fusion that moves a joint by more than a tenth of a millimetre, or tells people apart otherwise, has to be
declared: by writing the reference anew with this command, and saying so in tests/data/reference.md. `--record` makes a
new recording first: the demo, seven seconds, on a machine that has nothing else to do.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from nodes.fusing import recorded_pipeline
from nodes.reprocess_sessions import Changes, reprocess_session
from nodes.sessions.fuse_again import Tally, fused_again
from nodes.sessions.playing import began_with
from nodes.sessions.reader import SessionReader
from nodes.wire.messages import Pose3D

REFERENCE = Path(__file__).parent / "data" / "reference.mcap"
ALIKE_M = 1e-4  # other processors round otherwise, and compilers add up in another order
ALIKE_SIGMA = 0.01  # of itself


def held_poses() -> list[Pose3D]:
    """The poses in the reference."""
    with SessionReader(REFERENCE) as session:
        return list(session.messages(Pose3D))


def fused_poses() -> list[Pose3D]:
    """The poses that fusion makes of the keypoints in the reference now."""
    with SessionReader(REFERENCE) as session:
        records = began_with(session, session.logged())
        items = fused_again(records, recorded_pipeline(session), Tally(), compare=False)
        return [item for item, _ in items if isinstance(item, Pose3D)]


def differences(held: list[Pose3D], now: list[Pose3D]) -> list[str]:
    """In words, one a pose. A recording may end before its last pose was sent."""
    found = []
    if [pose.captured_ns for pose in held] != [pose.captured_ns for pose in now[: len(held)]]:
        found.append(f"{len(held)} poses are held and {len(now)} are made, or at other instants")
    for before, after in zip(held, now, strict=False):
        if what := _difference(before, after):
            found.append(f"pose {before.seq}: {what}")
    return found


def _difference(before: Pose3D, after: Pose3D) -> str:
    facts = [(p.valid, p.left_out.keys(), p.cameras, p.frame, [who.id for who in p.people]) for p in (before, after)]
    if facts[0] != facts[1]:
        return f"{facts[0]} became {facts[1]}"
    for a, b in zip(before.people, after.people, strict=True):
        if not (np.array_equal(a.views, b.views) and np.array_equal(a.origin, b.origin)):
            return f"person {a.id}: views or origins of joints are others"
        apart_m = np.linalg.norm(a.joints_m - b.joints_m, axis=1)
        if not np.array_equal(np.isnan(a.joints_m), np.isnan(b.joints_m)) or np.nanmax(apart_m, initial=0) > ALIKE_M:
            return f"person {a.id}: a joint moved by {1000 * np.nanmax(apart_m, initial=0):.2f} mm, or is another one"
        if not np.allclose(a.sigma_m, b.sigma_m, rtol=ALIKE_SIGMA, equal_nan=True):
            return f"person {a.id}: sigma is another"
    return ""


def main() -> int:
    """Write the reference anew, and tell what is otherwise now."""
    with tempfile.TemporaryDirectory() as folder:
        take, new = Path(folder) / "take.mcap", Path(folder) / "new.mcap"
        if "--record" in sys.argv:
            command = [sys.executable, "run_system.py", "demo", "--headless", "--seconds", "7", "--record", str(take)]
            subprocess.run(command, check=True)
        else:
            shutil.copy(REFERENCE, take)
            for line in differences(held_poses(), fused_poses())[:20]:
                print(line)
        print(reprocess_session(take, new, Changes(), force=True, progress=lambda _: None))
        shutil.copy(new, REFERENCE)
    print(f"{REFERENCE} is written: say in tests/data/reference.md what changed, and why")
    return 0


if __name__ == "__main__":
    sys.exit(main())
