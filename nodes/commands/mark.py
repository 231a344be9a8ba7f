"""`mark`: marks the instant in a system that is running."""

import argparse
import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodes.wire.bus import Publisher, Subscription
    from nodes.wire.messages import Message
    from nodes.wire.requests import Mark

DESCRIPTION = """\
Mark this instant with a word: a recording that is being made keeps it, and it is shown when that is played. The page
has a button for the same."""

EXAMPLES = """\
examples:
  python run_system.py mark "left foot lands"
  python run_system.py mark start --hub tcp://10.0.0.5:5555 --hub-outer tcp://10.0.0.5:5556"""

PATIENCE_S = 5.0
RECORDER_PATIENCE_S = 1.5  # it speaks twice a second


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    mark = commands.add_parser(
        "mark",
        help="mark this instant in a running system's recording",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mark.add_argument("text", metavar="TEXT", help="what happens now; at most 200 characters")
    mark.add_argument("--hub", default="tcp://127.0.0.1:5555", help="the hub's inner address (default %(default)s)")
    mark.add_argument("--hub-outer", default="tcp://127.0.0.1:5556", help="its outer address (default %(default)s)")
    mark.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.wire.bus import Publisher, every, now_ns
    from nodes.wire.errors import WireError
    from nodes.wire.messages import CameraHealth, FusionHealth, Message, RecorderHealth
    from nodes.wire.requests import Mark, SystemState

    kinds: tuple[type[Message], ...] = (Mark, SystemState, RecorderHealth, CameraHealth, FusionHealth)
    try:
        mark = Mark(captured_ns=now_ns(), published_ns=0, source="mark", seq=0, text=options.text)
        with every(*kinds, hub_out=options.hub_outer) as bus, Publisher(options.hub) as publisher:
            recorder = _marked(mark, publisher, bus)
    except WireError as error:
        print(error, file=sys.stderr)
        return 2
    if recorder is None:
        print(f"nobody answers at {options.hub_outer}: is a system running there?", file=sys.stderr)
        return 2
    kept = "" if recorder == "recording" else "; nothing is recorded now, so it is shown on the page alone"
    print(f"marked: {mark.text}{kept}")
    return 0


def _marked(mark: "Mark", publisher: "Publisher", bus: "Subscription[Message]") -> str | None:
    """Send the mark once somebody speaks, and wait until it comes back: what the recorder does, "" without one; None
    where nobody speaks."""
    import time

    from nodes.wire.messages import RecorderHealth
    from nodes.wire.requests import Mark

    end_s, sent_s, comes_back, recorder = time.monotonic() + PATIENCE_S, math.inf, False, ""
    while time.monotonic() < end_s:
        message = bus.receive(100)
        if message is not None and sent_s == math.inf:
            time.sleep(0.3)  # until the hub has heard of us
            publisher.send(mark)
            sent_s = time.monotonic()
        if isinstance(message, RecorderHealth):
            recorder = message.state
        comes_back = comes_back or (isinstance(message, Mark) and message.captured_ns == mark.captured_ns)
        if comes_back and (recorder or time.monotonic() > sent_s + RECORDER_PATIENCE_S):
            return recorder
    return None
