"""livepose3d: starts, watches and stops the processes of the live system. `python run_system.py --help`."""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from nodes.system.doctor_packages import NEEDED
from nodes.system.process_table import Row, Setup, expand


def _hub(setup: Setup, _: str) -> list[str]:
    trust = ["--trust-network"] if setup.trust_network else []
    return ["--inner", setup.inner, "--outer", setup.outer, *trust]


def _fusion(setup: Setup, _: str) -> list[str]:
    hub = [] if setup.told_hub is None else ["--hub", setup.told_hub[0], "--hub-outer", setup.told_hub[1]]
    return ["--config", str(setup.config), *hub]


def _camera(setup: Setup, camera: str) -> list[str]:
    return ["--camera", camera, "--wait-for-start", *_fusion(setup, camera)]


# What runs. A row: name, module, arguments, when it is wanted (default: always). `{camera}`: once for each camera.
# The first row is started first and stopped last.
TABLE = (
    Row("hub", "nodes.hub", _hub),
    Row("fusion", "nodes.fusion", _fusion),
    Row("{camera}", "nodes.camera", _camera, lambda setup, camera: camera not in setup.by_hand),
)

NEEDED_OFFLINE = ("numpy", "msgpack", "pydantic", "yaml", "tomli_w", "numba", "scipy")  # to fuse recordings

EXAMPLES = """\
examples:
  python run_system.py                                        the demo: four rendered cameras, no hardware
  python run_system.py demo --headless --seconds 20 --summary s.json
  python run_system.py doctor --config my.yaml                what is missing on this machine
  python run_system.py live --config my.yaml                  your cameras (start from configs/webcams.yaml)
  python run_system.py reprocess walk.npz --out walk_3d.npz   recorded 2D detections, through the same stages

Ctrl-C stops everything in order; a second Ctrl-C hurries. Your own program reads the 3D stream with
  from nodes.wire.client import PoseClient
docs/running.md explains the table and every message, docs/summary.md the JSON."""


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0; 2 when something has to be changed first, with the reason on stderr."""
    options = _parser().parse_args(["demo"] if not _given(arguments) else arguments)
    if options.command == "doctor":
        from nodes.system.doctor import doctor

        return doctor(options.config)
    if options.command == "reprocess":
        return _reprocess(options)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[live]"', file=sys.stderr)
        return 2
    return _live(options)


def _reprocess(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED_OFFLINE if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[fusion]"', file=sys.stderr)
        return 2
    from nodes.reprocess import reprocess

    return reprocess(options.sequence, options.out, options.settings, not options.no_lifter)


def demo_config() -> Path:
    """The configuration that ships with the project."""
    import configs

    return Path(configs.__path__[0]) / "demo.yaml"


def _live(options: argparse.Namespace) -> int:
    from calibration.errors import CalibrationError
    from configs.errors import ConfigError
    from nodes.compiling import compile_kernels
    from nodes.system.live import LiveRun
    from nodes.system.monitor import Monitor
    from nodes.system.prepare import prepare
    from nodes.system.status_table import choose_screen
    from nodes.system.summary import summarise, write_summary
    from nodes.wire.errors import WireError

    try:
        prepared = prepare(options.config, options.hub_port, options.summary)
    except (ConfigError, CalibrationError, WireError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        compile_kernels(lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 0
    setup = prepared.setup
    processes = expand(TABLE, setup)
    print("\n".join(str(process) for process in processes), flush=True)
    monitor = Monitor(setup.cameras, prepared.truth, setup.by_hand)
    run = LiveRun(processes, monitor, prepared.hub, options.seconds)
    try:
        return run.run(choose_screen(options.headless))
    finally:  # also after a fault of ours: what was measured until then is kept
        if options.summary is not None:
            try:
                write_summary(summarise(monitor, run.seconds, run.restarts), options.summary)
            except OSError as error:
                print(f"the summary {options.summary} could not be written: {error}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_system.py",
        description="Real-time 3D human pose from several cameras. Without a command: demo.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser("demo", help="four rendered cameras that ship with the project; tells its own error")
    live = commands.add_parser("live", help="the cameras of a configuration file")
    doctor = commands.add_parser("doctor", help="check this machine: every line is ok, or says what to do")
    _add_reprocess(commands)
    demo.set_defaults(config=demo_config())
    live.add_argument("--config", type=Path, required=True, help="YAML file; see configs/webcams.yaml")
    doctor.add_argument("--config", type=Path, help="check also its cameras, calibration and ports")
    for command in (demo, live):
        command.add_argument("--seconds", type=_positive, help="end so long after the session's start (cameras ready)")
        command.add_argument("--headless", action="store_true", help="plain lines in place of the table")
        command.add_argument("--summary", type=Path, metavar="OUT.json", help="write the run's figures at its end")
        command.add_argument(
            "--hub-port",
            type=_hub_port,
            metavar="N",
            help="the hub uses ports N and N+1 in place of the configured ones",
        )
    return parser


REPROCESS = """\
Fuse recorded 2D detections of calibrated cameras into 3D, through exactly the stages of the live system.

SEQ.npz is a neutral multi-view file: cameras with K, dist, R, t and image_size, joint names, and keypoints2d (frames,
cameras, detections, joints, 3). Whose detection is whose is found out, and joints may be any detector's: COCO-17,
BODY_25, BODY_25B, MediaPipe-33, Halpe-26, MPII-16, or others by their names. Row t of OUT.npz is row t of SEQ.npz."""

REPROCESS_EXAMPLES = """\
examples:
  python run_system.py reprocess walk.npz --out walk_3d.npz
  python run_system.py reprocess walk.npz --out walk_3d.npz --settings my.yaml    its `fusion:` settings
  python -m nodes.evaluate walk_3d.npz walk.npz --json scores.json                against the truth in walk.npz

docs/reprocess.md has the arrays of both files and says what each score means."""


def _add_reprocess(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    reprocess = commands.add_parser(
        "reprocess",
        help="recorded 2D detections of calibrated cameras to 3D, through the live stages",
        description=REPROCESS,
        epilog=REPROCESS_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reprocess.add_argument("sequence", type=Path, metavar="SEQ.npz", help="the detections")
    reprocess.add_argument("--out", type=Path, required=True, metavar="OUT.npz", help="where the 3D goes")
    reprocess.add_argument(
        "--settings",
        type=Path,
        metavar="FILE.yaml",
        help="a configuration, of which `fusion:` is used",
    )
    reprocess.add_argument("--no-lifter", action="store_true", help="geometry alone, without the lifter's prior")


def _given(arguments: Sequence[str] | None) -> bool:
    return bool(sys.argv[1:] if arguments is None else arguments)


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


if __name__ == "__main__":
    sys.exit(main())
