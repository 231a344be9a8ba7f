"""The light client: the 3D pose stream in a for loop. Needs pyzmq, msgpack and numpy alone.

from nodes.wire.client import PoseClient

for pose in PoseClient("tcp://127.0.0.1:5556"):
    for person in pose.people:
        print(person.id, person.joints_m)

Poses lag behind what they show by a detection and the way here. `PoseClient(address, to_now=True)` gives them carried
on to the moment of sending instead, when the system is configured with `fusion: {predict_to_now: true}`.
"""

from collections.abc import Iterator

from nodes.wire.bus import DEFAULT_HUB_OUT, Subscription, every, latest
from nodes.wire.messages import Pose3D, PoseNow


class PoseClient:
    """Iterates over the poses of a running system.

    address: the hub's outer address. to_now: PoseNow in place of Pose3D. newest_only: skip poses that were not read in
    time (for display). timeout_s: end the iteration when no pose came for so long; None waits for ever, also for a
    system that is not started yet.
    """

    def __init__(
        self,
        address: str = DEFAULT_HUB_OUT,
        *,
        to_now: bool = False,
        newest_only: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        kind = PoseNow if to_now else Pose3D
        self._subscription: Subscription[Pose3D] = (
            latest(kind, address) if newest_only else every(kind, hub_out=address)
        )
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
