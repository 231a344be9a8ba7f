"""A camera's eye for the board while the calibrator asks for it: `BoardSeen` of its newest pictures.

The camera's own work never waits for it: a thread of its own looks at the newest picture that is due, and what it
found is handed to the camera's loop, which sends it. Nothing heavy is imported before somebody asks.
"""

import math
import sys
import threading
import time
from collections import deque

import numpy as np

from calibration.board import board_of_text
from calibration.errors import CalibrationError
from nodes.sources.source import Frame
from nodes.wire.bus import latest
from nodes.wire.requests import CALIBRATOR, LOOK_PERIOD_NS, BoardSeen, CalibrationState

SILENT_NS = 3_000_000_000  # a calibrator speaks four times a second; without it nobody takes what is found
BUSY_SHARE = 0.8  # of the time between two looks
MOST_FOUND = 20  # looks that the loop has not sent yet


class Looks:
    """The thread that looks for one board, from its making until `end`.

    Which pictures are due is told by their own times: the first one of each `LOOK_PERIOD_NS` of the common time, or of
    2, 4, 8 … of them where looking takes longer, so that cameras look at the same moments, fast ones and slow ones.
    """

    def __init__(self, camera: str, board_toml: str) -> None:
        self.board_toml = board_toml
        self._camera = camera
        self._changed = threading.Condition()
        self._due: Frame | None = None
        self._offered_ns = -LOOK_PERIOD_NS
        self._period_ns = LOOK_PERIOD_NS
        self._ended = False
        self._took_ns = 0.0  # a look, on average
        self._seq = 0
        self._found: deque[BoardSeen] = deque(maxlen=MOST_FOUND)
        threading.Thread(target=self._run, name="board", daemon=True).start()

    def offer(self, frame: Frame) -> None:
        """A picture that was read; any thread, and quick."""
        if frame.captured_ns // self._period_ns == self._offered_ns // self._period_ns or self._ended:
            return
        self._offered_ns = frame.captured_ns
        with self._changed:
            self._due = frame
            self._changed.notify()

    def found(self) -> list[BoardSeen]:
        """What was found since."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            self._look()
        except CalibrationError as error:  # the calibrator refuses such boards: somebody else spoke
            print(f"does not look for the board: {error}", file=sys.stderr, flush=True)

    def _look(self) -> None:
        import cv2

        from nodes.calibrating.board_finder import BoardFinder

        finder = BoardFinder(board_of_text(self.board_toml))
        while (frame := self._take()) is not None:
            began_ns = time.monotonic_ns()
            found = finder.find(np.asarray(cv2.cvtColor(frame.image_rgb, cv2.COLOR_RGB2GRAY), np.uint8))
            height, width = frame.image_rgb.shape[:2]
            self._found.append(
                BoardSeen(
                    captured_ns=frame.captured_ns,
                    published_ns=0,
                    source=self._camera,
                    seq=self._seq,
                    size_wh=(width, height),
                    corners_px=found.corners_px.astype(np.float32),
                    mirrored=found.mirrored,
                    frame_id=frame.frame_id,
                )
            )
            self._seq += 1
            if self._seq > 1:  # the first look loads what it looks with
                self._keep_up(time.monotonic_ns() - began_ns)

    def _keep_up(self, took_ns: int) -> None:
        """The shortest period that leaves time for a look."""
        self._took_ns += 0.3 * (took_ns - self._took_ns)
        turns = max(1.0, self._took_ns / (BUSY_SHARE * LOOK_PERIOD_NS))
        self._period_ns = LOOK_PERIOD_NS * 2 ** math.ceil(math.log2(turns))

    def _take(self) -> Frame | None:
        """The newest picture that is due, as soon as there is one; None at the end."""
        with self._changed:
            while self._due is None and not self._ended:
                self._changed.wait()
            frame, self._due = self._due, None
            return None if self._ended else frame


class BoardLooker:
    """Follows the calibrator's word. `offer` is the capture's, the rest the loop's."""

    def __init__(self, camera: str, hub_out: str) -> None:
        self._camera = camera
        self._inbox = latest(CalibrationState, hub_out=hub_out, source=CALIBRATOR)
        self._looks: Looks | None = None
        self._heard_ns = 0

    def offer(self, frame: Frame) -> None:
        """A picture that was read."""
        looks = self._looks
        if looks is not None:
            looks.offer(frame)

    def follow(self) -> list[BoardSeen]:
        """Do as the calibrator says now; what was found since is to be sent."""
        state, now_ns = self._inbox.receive(timeout_ms=0), time.monotonic_ns()
        if state is not None:
            self._heard_ns = now_ns
            self._obey(state)
        elif self._looks is not None and now_ns - self._heard_ns > SILENT_NS:
            self._stop()
        return [] if self._looks is None else self._looks.found()

    def close(self) -> None:
        self._stop()
        self._inbox.close()

    def _obey(self, state: CalibrationState) -> None:
        if state.state != "looking":
            self._stop()
        elif self._looks is None or self._looks.board_toml != state.board_toml:
            self._stop()
            self._looks = Looks(self._camera, state.board_toml)

    def _stop(self) -> None:
        if self._looks is not None:
            self._looks.end()
            self._looks = None
