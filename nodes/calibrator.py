"""The calibrator: calibrations made while the system runs, asked for by the live page. `python -m nodes.calibrator`.

It tells the cameras to look for the board, counts what they see, and has `calibrate rig` solve it in a process beside
it. docs/page-calibration.md. A thin loop around `Sitting`.
"""

import argparse
import signal
import sys
import time
from contextlib import ExitStack

from configs.errors import ConfigError
from configs.load import load_config
from nodes.calibrating.sitting import Sitting
from nodes.wire.bus import Publisher, Subscription, every
from nodes.wire.errors import WireError
from nodes.wire.messages import About, Message, Pose3D
from nodes.wire.requests import BoardSeen, CalibrationRequest

TURN_S, IDLE_TURN_S = 0.05, 0.1
MOST_PER_TURN = 1000  # messages; a flood must not keep the cameras from hearing of us
STATE_EVERY_NS, IDLE_STATE_EVERY_NS = 250_000_000, 1_000_000_000


class Calibrator:
    """The loop between the bus and the sitting."""

    def __init__(self, sitting: Sitting, publisher: Publisher, hub_out: str) -> None:
        self._sitting = sitting
        self._publisher = publisher
        self._hub_out = hub_out
        self._stack = ExitStack()
        self._inbox: Subscription[Message] = self._stack.enter_context(
            every(CalibrationRequest, BoardSeen, About, hub_out=hub_out)
        )
        self._poses: Subscription[Pose3D] | None = None
        self._due_ns = 0
        self._seq = 0
        self._said = ""

    def run(self) -> None:
        """Until interrupted."""
        while True:
            self.turn(time.monotonic_ns())
            time.sleep(TURN_S if self._sitting.is_busy else IDLE_TURN_S)

    def turn(self, now_ns: int) -> None:
        """Once around."""
        self._receive(self._inbox, now_ns)
        self._follow_poses(now_ns)
        for request in self._sitting.turn(now_ns):
            self._publisher.send(request)
        self._say(now_ns)

    def close(self) -> None:
        """Keep what was seen, and end what was begun."""
        try:
            self._sitting.close()
        finally:
            if self._poses is not None:
                self._poses.close()
            self._stack.close()

    def _receive(self, inbox: Subscription[Message] | Subscription[Pose3D], now_ns: int) -> None:
        for _ in range(MOST_PER_TURN):
            message = inbox.receive(0)
            if message is None:
                return
            self._sitting.hear(message, now_ns)

    def _follow_poses(self, now_ns: int) -> None:
        """Only while they are wanted: they come thirty times a second."""
        if self._sitting.wants_poses and self._poses is None:
            self._poses = every(Pose3D, hub_out=self._hub_out, source="fusion")
        elif not self._sitting.wants_poses and self._poses is not None:
            self._poses.close()
            self._poses = None
        if self._poses is not None:
            self._receive(self._poses, now_ns)

    def _say(self, now_ns: int) -> None:
        state = self._sitting.state(now_ns)
        news = f"{state.state} {state.note} {state.doing}"
        if now_ns < self._due_ns and news == self._said:
            return
        self._said = news
        self._due_ns = now_ns + (STATE_EVERY_NS if self._sitting.is_busy else IDLE_STATE_EVERY_NS)
        self._seq += 1
        self._publisher.send(state)


def main(arguments: list[str] | None = None) -> int:
    """Wait for requests until interrupted; 2 when something must be mended first."""
    parser = argparse.ArgumentParser(prog="python -m nodes.calibrator", description=__doc__)
    parser.add_argument("--config", required=True, help="the configuration of the whole system, the same for all nodes")
    parser.add_argument("--hub", help="the hub's inner address (default: the configuration's)")
    parser.add_argument("--hub-outer", help="its outer address (default: the configuration's)")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config = load_config(given.config, keypoints_only=True)  # the calibration may be the one that is to be made
        with Publisher(given.hub or config.hub.inner) as publisher:
            sitting = Sitting(tuple(config.cameras), config.calibrating, time.monotonic_ns())
            calibrator = Calibrator(sitting, publisher, given.hub_outer or config.hub.outer)
            try:
                calibrator.run()
            finally:
                calibrator.close()
    except (ConfigError, WireError) as error:
        print(f"calibrator: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
