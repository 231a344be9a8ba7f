"""The recorder: what is said on the bus into a file. `python -m nodes.recorder --out OUT.mcap`.

Every logged topic as it was sent, in the order of the hub, with configuration and calibration as whoever runs the
system tells them (`About`). Without --out it waits until it is asked (`RecordRequest`). A thin loop around `Take`.
"""

import argparse
import glob
import re
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from nodes.sessions.errors import SessionError
from nodes.sessions.playing import RECORDER_TURN_NS
from nodes.sessions.reader import SessionReader
from nodes.sessions.take import Take
from nodes.sessions.target import next_free
from nodes.wire.bus import DEFAULT_HUB_IN, DEFAULT_HUB_OUT, Publisher, every, now_ns
from nodes.wire.errors import WireError
from nodes.wire.messages import About, Message, RecorderHealth, RecordRequest
from nodes.wire.topics import TOPICS, open_envelope, prefix

SOURCE = "recorder"
HEALTH_EVERY_NS = 500_000_000
TURN_S = RECORDER_TURN_NS * 1e-9  # a message is logged up to so much after it came
MOST_PER_TURN = 1000
READ_AHEAD = 20_000  # messages kept while the disk is slow: half a minute of 8 cameras at 60 Hz, 20 MB
LONGEST_WAIT_FOR_ABOUT_NS = 5_000_000_000
QUIET_MS = 50  # at the end: what was sent before has come when nothing has come for so long
LONGEST_END_S = 0.3
FILE_NAME = re.compile(r"[A-Za-z0-9._-]*")
NO_ABOUT = "nothing tells the configuration, so that it is not in the recording: was the system started by run_system?"
CHANGED = "settings changed after {:.1f} s: from there on its poses are made with others than it says of itself"
LOGGED = tuple(topic.message for topic in TOPICS if topic.logged)


class Recorder:
    """What it does at present. Times are wall-clock nanoseconds, and arguments."""

    def __init__(self, folder: Path, source: str = SOURCE, obeys: bool = True) -> None:
        """folder: of recordings that are asked for. obeys: the requests on the bus, which are for the system's own."""
        self.source = source
        self._obeys = obeys
        self._folder = folder
        self._take: Take | None = None
        self._about: About | None = None
        self._video = False
        self._heard_itself = False
        self._at_rest = "idle"  # the state without a recording: how the last one ended
        self._figures: dict[str, Any] = {}  # of the last recording
        self._asked = Path()  # the name that was asked for; the next free one may be another
        self._fault = ""
        self._refusal = ""  # of a request; no fault of the recording
        self._seq = 0

    @property
    def is_recording(self) -> bool:
        return self._take is not None

    def start(self, path: Path, video: bool, at_ns: int) -> None:
        """Begin to record, into the next free name. What prevents it is told in the health."""
        if self._take is not None and self._take.full:
            self.stop(at_ns)
        if self._take is not None:
            if path != self._asked:
                self._refusal = f"is recording {self._take.path} already: {path.name} was refused"
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._take = Take(next_free(path), at_ns)
        except OSError as error:
            self._at_rest, self._fault = "failed", f"{path} cannot be made: {error.strerror or error}"
            return
        self._asked, self._video, self._fault, self._refusal = path, video, "", ""
        if self._about is not None:
            self._take.explain(self._about, at_ns)

    def stop(self, at_ns: int) -> None:
        """End the recording, if there is one."""
        take = self._take
        if take is None:
            return
        if not take.full:
            take.flush_older(at_ns)
            try:
                take.close()
            except OSError as error:
                self._fault = f"no room for the index ({error.strerror or error}): recover makes it"
        self._at_rest = "failed" if take.full or self._fault else "stopped"
        self._refusal = ""
        self._figures, self._fault = _figures(take), self._note(take, at_ns)
        self._take = None

    def take_in(self, envelope: bytes, at_ns: int) -> None:
        """A message off the bus, as it came."""
        if envelope.startswith(CONTROLS):
            self._obey(envelope, at_ns)
        elif self._take is not None:
            self._take.log(envelope, at_ns)

    def turn(self, now_ns: int) -> None:
        """Once in a while, also when nothing comes."""
        if self._take is not None:
            self._take.flush_older(now_ns)

    def health(self, now_ns: int) -> RecorderHealth:
        """The state at present, or how the last recording ended."""
        take = self._take
        self._seq += 1
        return RecorderHealth(
            captured_ns=now_ns,
            published_ns=0,
            source=self.source,
            seq=self._seq,
            state=self._at_rest if take is None else self._state(take, now_ns),
            video=take is not None and self._video and not take.full,
            note=(self._refusal or self._fault if take is None else self._note(take, now_ns))[:500],
            **(self._figures if take is None else _figures(take)),
        )

    def _state(self, take: Take, now_ns: int) -> str:
        if take.full:
            return "failed"
        waits = not take.has_about and now_ns - take.began_ns < LONGEST_WAIT_FOR_ABOUT_NS
        return "starting" if waits or not self._heard_itself else "recording"

    def _note(self, take: Take, now_ns: int) -> str:
        waited = now_ns - take.began_ns >= LONGEST_WAIT_FOR_ABOUT_NS
        lost = f"{take.lost} messages were lost on their way to the recorder" if take.lost else ""
        refused = f"{take.refused} messages were not ours and are not in the recording" if take.refused else ""
        about = NO_ABOUT if waited and not take.has_about else ""
        changed = "" if take.changed_ns is None else CHANGED.format((take.changed_ns - take.began_ns) * 1e-9)
        return "; ".join(filter(None, (take.full, self._fault, self._refusal, lost, refused, changed, about)))

    def _obey(self, envelope: bytes, at_ns: int) -> None:
        try:
            message: Message = open_envelope(envelope)
        except WireError:
            return
        match message:
            case About():
                self._about = message
                if self._take is not None:
                    self._take.explain(message, at_ns)
            case RecorderHealth(source=self.source):
                self._heard_itself = True  # what was subscribed to before this is heard, too
            case RecordRequest(action="stop") if self._obeys:
                self.stop(at_ns)
            case RecordRequest() if self._obeys:
                self._start_as_asked(message, at_ns)

    def _start_as_asked(self, request: RecordRequest, at_ns: int) -> None:
        if not FILE_NAME.fullmatch(request.name) or request.name.startswith("."):
            self._refusal = f"a recording called {request.name!r} was refused: letters, digits, . - and _ only"
            return
        name = request.name or datetime.fromtimestamp(at_ns / 1e9).strftime("take-%Y-%m-%d-%H-%M-%S")
        self.start(self._folder / f"{name.removesuffix('.mcap')}.mcap", request.video, at_ns)


def _figures(take: Take) -> dict[str, Any]:
    return {
        "path": str(take.path.absolute()),
        "began_ns": take.began_ns,
        "messages": take.messages,
        "bytes": take.bytes_written,
        "lost": take.lost,
    }


CONTROLS = tuple(prefix(kind) for kind in (About, RecordRequest, RecorderHealth))


def main(arguments: list[str] | None = None) -> int:
    """Record until interrupted; 0, or 2 when something must be mended first."""
    parser = argparse.ArgumentParser(prog="python -m nodes.recorder", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="OUT.mcap", help="record from the start, into this file")
    parser.add_argument(
        "--once",
        action="store_true",
        help="with --out: not again, where a former life was asked to end it",
    )
    parser.add_argument("--video", action="store_true", help="and let the camera nodes record their pictures")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("recordings"),
        help="of recordings asked for over the bus (%(default)s)",
    )
    parser.add_argument("--hub", default=DEFAULT_HUB_IN, help="the hub's inner address (default %(default)s)")
    parser.add_argument("--hub-outer", default=DEFAULT_HUB_OUT, help="its outer address (default %(default)s)")
    given = parser.parse_args(arguments)
    try:
        out = None if given.once and given.out is not None and _is_over(given.out) else given.out
        with Publisher(given.hub) as publisher, StopFlag() as stop:
            record(Recorder(given.folder), publisher, given.hub_outer, stop, out, given.video)
    except WireError as error:
        print(f"recorder: {error}", file=sys.stderr)
        return 2
    return 0


def _is_over(out: Path) -> bool:
    """Whether a former life of this process was asked to end the recording; one that was cut goes on."""
    if not out.exists():
        return False
    lives = [out, *out.parent.glob(f"{glob.escape(out.stem)}-[0-9]*{out.suffix}")]  # some may be of older takes
    try:
        with SessionReader(max(lives, key=lambda path: path.stat().st_mtime_ns)) as session:
            return not session.is_cut
    except SessionError:
        return False


class SteadyClock:
    """The wall clock as it was when it was set, and even from there on: in a recording time neither falls nor jumps."""

    def __init__(self) -> None:
        self.set()

    def set(self) -> None:
        """Go by the wall clock anew."""
        self._offset_ns = now_ns() - _running_ns()

    def now_ns(self) -> int:
        return self._offset_ns + _running_ns()


def _running_ns() -> int:
    """Of a clock that nobody sets, and that goes on while a laptop sleeps where there is such a one."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if boot is None else time.clock_gettime_ns(boot)


class StopFlag:
    """Ctrl-C and SIGTERM, noted and not raised: in the middle of a write they would tear the file."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopFlag":
        self._before = {signum: signal.signal(signum, self._note) for signum in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True


def record(
    recorder: Recorder,
    publisher: Publisher,
    hub_out: str,
    stop: StopFlag,
    out: Path | None = None,
    video: bool = False,
    tell: Callable[[RecorderHealth], None] = lambda _: None,
) -> RecorderHealth:
    """The loop, until it is asked to stop; then what is still under way is waited for. The last word of its health.

    tell: shown each health.
    """
    # its own health is subscribed to last, so that everything is when it hears itself
    with every(*LOGGED, About, RecordRequest, RecorderHealth, hub_out=hub_out, high_water_mark=READ_AHEAD) as inbox:
        clock = SteadyClock()
        if out is not None:
            recorder.start(out, video, clock.now_ns())
        health_due_ns = 0
        while not stop.asked:
            time.sleep(TURN_S)  # in place of a wait for each message, which costs more than all else
            for _ in range(MOST_PER_TURN):
                envelope = inbox.receive_bytes(0)
                if envelope is None:
                    break
                recorder.take_in(envelope, clock.now_ns())
            if not recorder.is_recording:
                clock.set()
            at_ns = clock.now_ns()
            recorder.turn(at_ns)
            if not 0 <= health_due_ns - at_ns < HEALTH_EVERY_NS:
                health_due_ns = at_ns + HEALTH_EVERY_NS
                tell(publisher.send(recorder.health(at_ns)))
        end_s = time.monotonic() + LONGEST_END_S
        while time.monotonic() < end_s and (envelope := inbox.receive_bytes(QUIET_MS)) is not None:
            recorder.take_in(envelope, clock.now_ns())
        recorder.stop(clock.now_ns())
        return publisher.send(recorder.health(clock.now_ns()))


if __name__ == "__main__":
    sys.exit(main())
