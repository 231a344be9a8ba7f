"""`record`: a recording of a system that runs already, here or on another machine."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.sessions.play_options import seconds

if TYPE_CHECKING:
    from nodes.wire.messages import RecorderHealth

DESCRIPTION = """\
Record a system that is running: every keypoint, pose and word about health, as sent, with configuration and
calibration. Ctrl-C ends the recording. To record from the very first frame on, start the system with `live --record
OUT.mcap`: only then is the same fused again to the last digit."""

EXAMPLES = """\
examples:
  python run_system.py record walk.mcap                      until Ctrl-C
  python run_system.py record walk.mcap --seconds 60 --hub tcp://10.0.0.5:5555 --hub-outer tcp://10.0.0.5:5556
  python run_system.py record --ask start --name walk --video       its own recorder writes recordings/walk.mcap there
  python run_system.py record --ask stop

The recording opens with `replay`, `reprocess`, `export`, `plot`, and with every program that reads MCAP."""

PATIENCE_S = 5.0
STATES = {"start": ("recording", "starting"), "stop": ("stopped", "idle")}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    record = commands.add_parser(
        "record",
        help="record a system that is running",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.add_argument("out", type=Path, nargs="?", metavar="OUT.mcap", help="the recording")
    record.add_argument("--seconds", type=seconds, help="end after so long")
    record.add_argument("--force", action="store_true", help="in place of a file that is there")
    record.add_argument("--ask", choices=("start", "stop"), help="let the running system's own recorder do it")
    record.add_argument("--name", default="", help="with --ask start: of the file (default: the time of day)")
    record.add_argument("--video", action="store_true", help="with --ask start: the cameras' pictures, too")
    record.add_argument("--hub", default="tcp://127.0.0.1:5555", help="the hub's inner address (default %(default)s)")
    record.add_argument("--hub-outer", default="tcp://127.0.0.1:5556", help="its outer address (default %(default)s)")
    record.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.sessions.errors import SessionError
    from nodes.wire.errors import WireError

    try:
        return _ask(options) if options.ask else _record(options)
    except (SessionError, WireError) as error:
        print(error, file=sys.stderr)
        return 2


def _record(options: argparse.Namespace) -> int:
    from nodes.recorder import Recorder, StopFlag, record
    from nodes.sessions.errors import SessionError
    from nodes.sessions.target import check_target, set_aside
    from nodes.wire.bus import Publisher, now_ns

    if options.out is None or options.out.suffix != ".mcap":
        raise SessionError("give the name of the recording, which ends in .mcap: record OUT.mcap")
    if options.name:
        raise SessionError("--name belongs to --ask start; here OUT.mcap is the name")
    if options.video:
        raise SessionError("videos are recorded by the system's own recorder: record --ask start --video --name NAME")
    check_target(options.out, (), options.force)
    settle = set_aside(options.out)
    until_ns = None if options.seconds is None else now_ns() + round(options.seconds * 1e9)
    with Publisher(options.hub) as publisher, StopFlag() as stop:

        def tell(health: "RecorderHealth") -> None:
            _tell(health)
            stop.asked = stop.asked or health.state == "failed" or (until_ns is not None and now_ns() >= until_ns)

        recorder = Recorder(options.out.parent, "record", obeys=False)
        last = record(recorder, publisher, options.hub_outer, stop, options.out, tell=tell)
    if not last.messages:
        if last.path:
            Path(last.path).unlink(missing_ok=True)
        unheard = f"nothing was heard from {options.hub_outer}: is a system running there?"
        print(last.note or unheard, file=sys.stderr)
    settle()
    if last.messages:
        note = f"; {last.note}" if last.note else ""
        print(f"\n{last.path}: {last.messages} messages, {last.bytes / 1e6:.1f} MB{note}")
    return 0 if last.state == "stopped" and last.messages else 2


def _tell(health: "RecorderHealth") -> None:
    """One line that is written over."""
    if sys.stdout.isatty():
        seconds = (health.captured_ns - health.began_ns) * 1e-9
        lost = f", {health.lost} lost" if health.lost else ""
        line = f"{health.state}  {seconds:.0f} s  {health.messages} messages{lost}  {health.bytes / 1e6:.1f} MB"
        print(f"\r{line}  Ctrl-C ends ", end="", flush=True)


def _ask(options: argparse.Namespace) -> int:
    """Send a request, and wait until the recorder says that it does as it was asked, or why not."""
    import time

    from nodes.sessions.errors import SessionError
    from nodes.wire.bus import Publisher, every, now_ns
    from nodes.wire.messages import RecorderHealth, RecordRequest

    if options.out is not None:
        raise SessionError(f"--ask lets the system's own recorder write: for the name say --name {options.out.stem}")
    request = RecordRequest(
        captured_ns=now_ns(),
        published_ns=0,
        source="record",
        seq=0,
        action=options.ask,
        name=options.name,
        video=options.video,
    )
    end_s = time.monotonic() + PATIENCE_S
    with (
        Publisher(options.hub) as publisher,
        every(RecorderHealth, hub_out=options.hub_outer, source="recorder") as healths,
    ):
        first = healths.receive(int(1000 * PATIENCE_S))
        if first is not None:
            time.sleep(0.3)  # until the hub has heard of us
            publisher.send(request)
            sent_ns = now_ns()
            while time.monotonic() < end_s:
                health = healths.receive(1000)
                if health is not None and health.captured_ns > sent_ns:
                    return _answer(options, health)
    print(f"no recorder answers at {options.hub_outer}: is a system running there?", file=sys.stderr)
    return 2


def _answer(options: argparse.Namespace, health: "RecorderHealth") -> int:
    """Tell what the recorder does now, and whether that is what it was asked."""
    name = options.name.removesuffix(".mcap")
    is_named = re.fullmatch(rf"{re.escape(name)}(-\d+)?", Path(health.path).stem) or not name
    if health.state not in STATES[options.ask] or (options.ask == "start" and not is_named):
        print(health.note or f"the recorder is {health.state}", file=sys.stderr)
        return 2
    print(f"{health.state} {health.path}" + (f" ({health.note})" if health.note else ""))
    return 0
