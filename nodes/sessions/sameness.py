"""Whether poses fused again are those that were live, byte for byte. Pure.

What fusion's process adds to a pose, when it was sent and what the way and the work took, is no part of the comparison.
"""

import hashlib
from collections import deque
from dataclasses import dataclass, field, replace

from nodes.wire.messages import Pose3D, encode

USUAL_AT_END = 15  # ticks that were under way when the recording ended
MOST_WAITING = 2000  # poses without a partner; the two streams are a second apart at most
OF_THE_PROCESS = ("send", "fuse")  # stages that the pipeline knows nothing of


def fused_bytes(pose: Pose3D) -> bytes:
    """The pose without what depends on when and where it was fused."""
    stages_ns = {stage: ns for stage, ns in pose.stages_ns.items() if stage not in OF_THE_PROCESS}
    return encode(replace(pose, published_ns=0, stages_ns=stages_ns))


@dataclass
class Sameness:
    """Fed with both streams, each in the order of its captured_ns. What waits for its partner is kept, no more.

    same, different: poses of one instant. only_live, only_again: instants that the other does not have. first_ns: of
    the first that is not the same.
    """

    same: int = 0
    different: int = 0
    only_live: int = 0
    only_again: int = 0
    first_ns: int | None = None
    _live: deque[tuple[int, bytes]] = field(default_factory=deque)
    _again: deque[tuple[int, bytes]] = field(default_factory=deque)

    def live(self, pose: Pose3D) -> None:
        """A pose of the recording."""
        self._live.append((pose.captured_ns, _digest(pose)))
        self._settle()

    def again(self, pose: Pose3D) -> None:
        """A pose that was fused again."""
        self._again.append((pose.captured_ns, _digest(pose)))
        self._settle()

    def result(self, lives: int, has_beginning: bool) -> str:
        """In words. What the live system did not come to say counts not: a recording ends in the middle of things.

        lives: how many fusions spoke in the recording. has_beginning: whether it holds what the first one began with.
        """
        self.only_live += len(self._live)
        if not self.same + self.different + self.only_live:
            return "there are no poses in the recording to compare with"
        if not self.different and not self.only_live and not self.only_again:
            more = f"; {len(self._again)} more come after the last of them" if len(self._again) > USUAL_AT_END else ""
            return f"all {self.same} poses are identical to those that were live{more}"
        told = f"{self.same} poses are identical to those that were live, {self.different} differ"
        told += f", {self.only_live} were live only, {self.only_again} are new" * bool(self.only_live + self.only_again)
        if not has_beginning:
            told += "; fusion had begun before this recording did, so the same cannot be fused again to the last digit"
        if lives > 1:
            times = "once" if lives == 2 else f"{lives - 1} times"
            told += f"; fusion was started again {times} during the recording, which is not repeated"
        return told

    def _settle(self) -> None:
        while self._live and self._again:
            (live_ns, live), (again_ns, again) = self._live[0], self._again[0]
            if live_ns == again_ns and live == again:
                self.same += 1
            else:
                self.first_ns = min(live_ns, again_ns) if self.first_ns is None else self.first_ns
                self.different += live_ns == again_ns
                self.only_live += live_ns < again_ns
                self.only_again += again_ns < live_ns
            if live_ns <= again_ns:
                self._live.popleft()
            if again_ns <= live_ns:
                self._again.popleft()
        while len(self._live) > MOST_WAITING:
            self._live.popleft()
            self.only_live += 1
        while len(self._again) > MOST_WAITING:
            self._again.popleft()
            self.only_again += 1


def _digest(pose: Pose3D) -> bytes:
    return hashlib.blake2b(fused_bytes(pose), digest_size=16).digest()
