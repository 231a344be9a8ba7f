"""`demo`, `live` and `replay`: the commands that start the processes of a table."""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.sessions.play_options import add_options, play_of
from nodes.system.doctor_packages import NEEDED
from nodes.system.process_table import Row, expand, without_fusion

if TYPE_CHECKING:
    from nodes.system.prepare import Prepared

REPLAY = """\
Play a recording in place of the cameras: viewers, programs and fusion cannot tell. With --poses fusion stays at home,
and the poses are those that were recorded."""

REPLAY_EXAMPLES = """\
examples:
  python run_system.py replay walk.mcap                      fusion runs again, at the pace of the recording
  python run_system.py replay walk.mcap --speed 10 --from 60 --to 90 --loop
  python run_system.py replay walk.mcap --speed max          as fast as fusion goes
  python run_system.py replay walk.mcap --poses              the poses as they were recorded

Stamps are moved to now, as if the cameras stood here; --stamps recorded keeps them. docs/sessions.md says more."""


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
    command.add_argument("--headless", action="store_true", help="plain lines in place of the table")
    command.add_argument("--summary", type=Path, metavar="OUT.json", help="write the run's figures at its end")
    command.add_argument(
        "--hub-port",
        type=_hub_port,
        metavar="N",
        help="the hub uses ports N and N+1 in place of the configured ones",
    )


def _live(options: argparse.Namespace, table: Sequence[Row]) -> int:
    def prepared() -> "Prepared":
        from nodes.system.prepare import prepare

        recording = (options.record, options.video, options.force)
        settings = {"self_repair": options.self_repair, "keypoints_only": options.keypoints_only}
        return prepare(options.config, options.hub_port, options.summary, *recording, **settings)

    return _run(options, table, prepared)


def _replay(options: argparse.Namespace, table: Sequence[Row]) -> int:
    play = ["--speed", options.speed, "--stamps", options.stamps]
    play += [f"--{name}" for name in ("poses", "loop") if getattr(options, name)]
    for name in ("from", "to"):
        if (value := getattr(options, f"{name}_s")) is not None:
            play += [f"--{name}", str(value)]

    def prepared() -> "Prepared":
        from nodes.system.prepare import check_summary, prepare_replay

        check_summary(options.summary)
        play_of(options)
        return prepare_replay(options.session, tuple(play), options.hub_port)

    return _run(options, table, prepared, tells_latency=options.speed.strip("0.") == "1" and options.stamps == "now")


def _run(
    options: argparse.Namespace, table: Sequence[Row], prepare: Callable[[], "Prepared"], tells_latency: bool = True
) -> int:
    """Start the processes and watch them to the end. 2 when something has to be changed first."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[live]"', file=sys.stderr)
        return 2
    from calibration.errors import CalibrationError
    from configs.errors import ConfigError
    from nodes.compiling import compile_kernels
    from nodes.sessions.errors import SessionError
    from nodes.sessions.target import set_aside
    from nodes.system.live import LiveRun
    from nodes.system.status_table import choose_screen
    from nodes.system.summary import summarise, write_summary
    from nodes.watching.monitor import Monitor
    from nodes.wire.errors import WireError

    try:
        prepared = prepare()
    except (ConfigError, CalibrationError, SessionError, WireError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        compile_kernels(lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 0
    setup = prepared.setup
    processes = expand(without_fusion(table) if setup.keypoints_only else table, setup)
    print("\n".join(str(process) for process in processes), flush=True)
    monitor = Monitor(setup.cameras, prepared.truth, setup.by_hand, tells_latency, fuses=not setup.keypoints_only)
    run = LiveRun(processes, monitor, prepared.hub, options.seconds, prepared.about, records=setup.record is not None)
    settle = set_aside(setup.record) if setup.record is not None else lambda: None
    try:
        return run.run(choose_screen(options.headless))
    finally:  # also after a fault of ours: what was measured until then is kept
        settle()
        if options.summary is not None:
            try:
                write_summary(summarise(monitor, run.seconds, run.restarts), options.summary)
            except OSError as error:
                print(f"the summary {options.summary} could not be written: {error}", file=sys.stderr)


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
