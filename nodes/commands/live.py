"""`demo`, `live` and `replay`: the commands that start the processes of a table."""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.sessions.play_options import add_options, play_of
from nodes.system.doctor_packages import NEEDED
from nodes.system.process_table import Process, Row, Setup, expand, without_fusion

if TYPE_CHECKING:
    from nodes.system.prepare import Prepared

REPLAY = """\
Play a recording in place of the cameras: viewers, programs and fusion cannot tell. With --poses fusion stays at home,
and the poses are those that were recorded. On the live page, time is a slider; with --headless it ends at the end."""

REPLAY_EXAMPLES = """\
examples:
  python run_system.py replay walk.mcap                      fusion runs again, at the pace of the recording
  python run_system.py replay walk.mcap --speed 10 --from 60 --to 90 --loop
  python run_system.py replay walk.mcap --speed max          as fast as fusion goes
  python run_system.py replay walk.mcap --poses              the poses as they were recorded
  python run_system.py replay walk.mcap --beside better.mcap  and those of a reprocess, one over the other

Stamps are moved to now, as if the cameras stood here; --stamps recorded keeps them. docs/sessions.md says more."""


# Of `live`, as `Wishes` call them, too.
SETTINGS = ("record", "video", "force", "self_repair", "keypoints_only", "preview", "page_port", "headless")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", table: Sequence[Row]) -> None:
    """`demo` and `live`, with the processes of a table."""
    demo = commands.add_parser("demo", help="four rendered cameras that ship with the project; tells its own error")
    live = commands.add_parser("live", help="the cameras of a configuration file")
    demo.set_defaults(config=demo_config())
    live.add_argument("--config", type=Path, required=True, help="YAML file; see configs/webcams.yaml")
    for command in (demo, live):
        command.add_argument(
            "--record", type=Path, metavar="OUT.mcap", help="record everything from the first frame on"
        )
        command.add_argument("--video", action="store_true", help="with --record: each camera's pictures, too")
        command.add_argument("--force", action="store_true", help="with --record: in place of a file that is there")
        command.add_argument(
            "--self-repair",
            action="store_true",
            help="estimate the pose of a camera that was moved anew, from the people seen, and use it again",
        )
        command.add_argument(
            "--preview",
            action="store_true",
            help="small pictures of each camera on the live page, which may show people; as `preview: enabled: true`",
        )
        _add_common(command)
        command.set_defaults(run=lambda options: _live(options, table), keypoints_only=False)
    live.add_argument(
        "--keypoints-only",
        action="store_true",
        help="no fusion, so no calibration is needed: with --record, for `calibrate people`",
    )


def add_replay(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", table: Sequence[Row]) -> None:
    """`replay`, with the processes of a table."""
    replay = commands.add_parser(
        "replay",
        help="play a recording in place of the cameras",
        description=REPLAY,
        epilog=REPLAY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    replay.add_argument("session", type=Path, metavar="S.mcap", help="the recording")
    add_options(replay)
    _add_common(replay)
    replay.set_defaults(run=lambda options: _replay(options, table))


def demo_config() -> Path:
    """The configuration that ships with the project."""
    import configs

    return Path(configs.__path__[0]) / "demo.yaml"


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seconds", type=_positive, help="end so long after the session's start (cameras ready)")
    page = command.add_mutually_exclusive_group()
    page.add_argument(
        "--page-port",
        type=_page_port,
        metavar="N",
        help="the live page is at port N (default: the configuration's 8080)",
    )
    page.add_argument("--headless", action="store_true", help="without the live page")
    command.add_argument("--plain", action="store_true", help="plain lines, for logs, in place of the table")
    command.add_argument("--summary", type=Path, metavar="OUT.json", help="write the run's figures at its end")
    command.add_argument(
        "--hub-port",
        type=_hub_port,
        metavar="N",
        help="the hub uses ports N and N+1 in place of the configured ones",
    )


def _live(options: argparse.Namespace, table: Sequence[Row]) -> int:
    def prepared() -> "Prepared":
        from nodes.system.prepare import Wishes, prepare

        wishes = Wishes(**{name: getattr(options, name) for name in SETTINGS})
        return prepare(options.config, options.hub_port, options.summary, wishes)

    return _run(options, table, prepared)


def _replay(options: argparse.Namespace, table: Sequence[Row]) -> int:
    if options.beside is not None and not options.poses:
        print("--beside: the poses as they were recorded, nothing is fused again", flush=True)
        options.poses = True
    options.stays = options.stays or not options.headless
    options.preview = options.preview or not options.headless
    play = ["--speed", options.speed, "--stamps", options.stamps]
    play += [f"--{name}" for name, given in _switches(options).items() if given]
    for name, value in {"from": options.from_s, "to": options.to_s, "beside": options.beside}.items():
        if value is not None:
            play += [f"--{name}", str(value)]

    def prepared() -> "Prepared":
        from nodes.sessions.beside import check_beside
        from nodes.sessions.tape import check_playable
        from nodes.system.prepare import check_summary, prepare_replay

        check_summary(options.summary)
        how = play_of(options)
        check_beside(options.session, options.beside)
        check_playable(options.session, how)
        return prepare_replay(options.session, tuple(play), options.hub_port, options.page_port, options.headless)

    return _run(options, table, prepared, tells_latency=options.speed.strip("0.") == "1" and options.stamps == "now")


def _switches(options: argparse.Namespace) -> dict[str, bool]:
    return {"poses": options.poses, "loop": options.loop, "stay": options.stays, "preview": options.preview}


def _run(
    options: argparse.Namespace, table: Sequence[Row], prepare: Callable[[], "Prepared"], tells_latency: bool = True
) -> int:
    """Start the processes and watch them to the end. 2 when something has to be changed first."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[live]"', file=sys.stderr)
        return 2
    prepared = _prepared(prepare)
    if prepared is None:
        return 2
    from nodes.compiling import compile_kernels

    try:
        compile_kernels(lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 0
    return _watch(options, table, prepared, tells_latency)


def _prepared(prepare: Callable[[], "Prepared"]) -> "Prepared | None":
    """None when something has to be changed first, which is told."""
    from calibration.errors import CalibrationError
    from configs.errors import ConfigError
    from nodes.sessions.errors import SessionError
    from nodes.wire.errors import WireError

    try:
        return prepare()
    except (ConfigError, CalibrationError, SessionError, WireError) as error:
        print(error, file=sys.stderr)
        return None


def _watch(options: argparse.Namespace, table: Sequence[Row], prepared: "Prepared", tells_latency: bool) -> int:
    from nodes.page.address import told_address
    from nodes.sessions.target import set_aside
    from nodes.system.live import LiveRun
    from nodes.system.status_table import choose_screen
    from nodes.system.steering import Steering
    from nodes.system.summary import summarise, write_summary
    from nodes.watching.monitor import Monitor

    setup = prepared.setup
    processes = expand(without_fusion(table) if setup.keypoints_only else table, setup)
    print("\n".join(str(process) for process in processes), flush=True)
    monitor = Monitor(setup.cameras, prepared.truth, setup.by_hand, tells_latency, fuses=not setup.keypoints_only)
    steering = Steering(prepared.config, prepared.about, setup.config, _fusion_maker(table, setup))
    run = LiveRun(processes, monitor, prepared.hub, options.seconds, steering, records=setup.record is not None)
    settle = set_aside(setup.record) if setup.record is not None else lambda: None
    page = "" if setup.headless else told_address(*setup.page)
    try:
        with steering:
            return run.run(choose_screen(options.plain, page))
    finally:  # also after a fault of ours: what was measured until then is kept
        settle()
        if options.summary is not None:
            try:
                write_summary(summarise(monitor, run.seconds, run.restarts), options.summary)
            except OSError as error:
                print(f"the summary {options.summary} could not be written: {error}", file=sys.stderr)


def _fusion_maker(table: Sequence[Row], setup: Setup) -> Callable[[Path], Process] | None:
    """How fusion is started with another configuration; None where it fuses what a recording says."""
    if setup.session is not None:
        return None

    def process(config: Path) -> Process:
        other = replace(setup, config=config, keypoints_only=False)
        return next(process for process in expand(table, other) if process.name == "fusion")

    return process


def _page_port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65536:
        raise argparse.ArgumentTypeError(f"{text} is no port from 1 to 65535")
    return value


def _hub_port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port from 1 to 65534: the hub uses it and the next one")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value
