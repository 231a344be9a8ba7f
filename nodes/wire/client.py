"""The light client: the 3D pose stream in a for loop. Needs pyzmq, msgpack and numpy alone.

from nodes.wire.client import PoseClient

for pose in PoseClient("tcp://127.0.0.1:5556"):
    for person in pose.people:
        print(person.id, person.joints_m)
"""

from collections.abc import Iterator

from nodes.wire.bus import DEFAULT_HUB_OUT, every, latest
from nodes.wire.messages import Pose3D


class PoseClient:
    """Iterates over the poses of a running system.

    address: the hub's outer address. newest_only: skip poses that were not read in time (for display). timeout_s: end
    the iteration when no pose came for so long; None waits for ever, also for a system that is not started yet.
    """

    def __init__(
        self, address: str = DEFAULT_HUB_OUT, *, newest_only: bool = False, timeout_s: float | None = None
    ) -> None:
        self._subscription = latest(Pose3D, address) if newest_only else every(Pose3D, hub_out=address)
        self._timeout_ms = None if timeout_s is None else round(1000 * timeout_s)

    def receive(self) -> Pose3D | None:
        """The next pose; None when none came within `timeout_s`."""
        return self._subscription.receive(self._timeout_ms)

    def __iter__(self) -> Iterator[Pose3D]:
        while (pose := self.receive()) is not None:
            yield pose

    def close(self) -> None:
        self._subscription.close()

    def __enter__(self) -> "PoseClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
