"""livepose3d: starts, watches and stops the processes of the live system. `python run_system.py --help`."""

import argparse
import sys

from nodes.commands import (
    calibrate,
    compare,
    doctor,
    export,
    import_,
    live,
    mark,
    plot,
    record,
    recover,
    render,
    reprocess,
    snapshot,
)
from nodes.commands.ending import INTERRUPTED, terminated_as_interrupted
from nodes.system.process_table import Row, Setup


def _hub(setup: Setup, _: str) -> list[str]:
    trust = ["--trust-network"] if setup.trust_network else []
    return ["--inner", setup.inner, "--outer", setup.outer, *trust]


def _recorder(setup: Setup, _: str) -> list[str]:
    out = [] if setup.record is None else ["--out", str(setup.record), "--once"]
    video = ["--video"] if setup.video else []
    return [*out, *video, "--folder", str(setup.recordings), *_reached(setup)]


def _fusion(setup: Setup, _: str) -> list[str]:
    what = ["--config", str(setup.config)] if setup.session is None else ["--session", str(setup.session)]
    hub = [] if setup.told_hub is None else _reached(setup)
    return [*what, *hub]


def _repairing_fusion(setup: Setup, camera: str) -> list[str]:
    return [*_fusion(setup, camera), *(["--self-repair"] if setup.self_repair else [])]


def _viewer(setup: Setup, _: str) -> list[str]:
    host, port = setup.page
    return ["--host", host, "--port", str(port), *_reached(setup)]


def _shows_a_page(setup: Setup, _: str) -> bool:
    return not setup.headless


def _camera(setup: Setup, camera: str) -> list[str]:
    folder = setup.recordings if setup.record is None else setup.record.parent
    preview = ["--preview"] if setup.preview else []
    return ["--camera", camera, "--wait-for-start", "--video-folder", str(folder), *preview, *_fusion(setup, camera)]


def _replay(setup: Setup, _: str) -> list[str]:
    return [str(setup.session), *setup.play, "--wait-for-start", *_reached(setup)]


def _reached(setup: Setup) -> list[str]:
    inner, outer = setup.told_hub or (setup.inner, setup.outer)
    return ["--hub", inner, "--hub-outer", outer]


# What runs. A row: name, module, arguments, when it is wanted (default: always), whether it is for what the others say,
# and whether they can do without it. `{camera}`: once for each camera. The first row is started first and stopped last.
TABLE = (
    Row("hub", "nodes.hub", _hub, listens=True),
    Row("recorder", "nodes.recorder", _recorder, listens=True),
    Row("fusion", "nodes.fusion", _repairing_fusion),
    Row("{camera}", "nodes.camera", _camera, lambda setup, camera: camera not in setup.by_hand),
    Row("calibrator", "nodes.calibrator", _fusion, _shows_a_page, aside=True),
    Row("viewer", "nodes.viewer", _viewer, _shows_a_page, aside=True),
)

# The same for `replay`: the recording speaks in place of the cameras, or of fusion, too.
REPLAY_TABLE = (
    Row("hub", "nodes.hub", _hub, listens=True),
    Row("fusion", "nodes.fusion", _fusion, lambda setup, _: "--poses" not in setup.play),
    Row("replay", "nodes.replay", _replay),
    Row("viewer", "nodes.viewer", _viewer, _shows_a_page, aside=True),
)

EXAMPLES = """\
examples:
  python run_system.py                                        the demo: four rendered cameras, no hardware; open the
                                                              page whose address it prints
  python run_system.py demo --headless --seconds 20 --summary s.json
  python run_system.py calibrate rig --config my.yaml --board board.toml --out rig.toml     where your cameras stand
  python run_system.py doctor --config my.yaml                what is missing on this machine
  python run_system.py live --config my.yaml --record walk.mcap   your cameras (start from configs/webcams.yaml)
  python run_system.py replay walk.mcap                       the recording in place of the cameras
  python run_system.py reprocess walk.mcap --out better.mcap --calibration new.toml
  python run_system.py export walk.mcap --out walk.trc        for OpenSim; or .c3d .bvh .glb .csv .parquet .npz

Ctrl-C stops everything in order; a second Ctrl-C hurries. Your own program reads the 3D stream with
  from nodes.wire.client import PoseClient
docs/running.md explains the table and every message, docs/page.md the page, docs/sessions.md recordings."""


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0; 2 when something has to be changed first, with the reason on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given or ["demo"])
    try:
        with terminated_as_interrupted():
            code: int = options.run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_system.py",
        description="Real-time 3D human pose from several cameras. Without a command: demo.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    live.add(commands, TABLE)
    calibrate.add(commands)
    doctor.add(commands)
    record.add(commands)
    live.add_replay(commands, REPLAY_TABLE)
    for module in (mark, reprocess, compare, plot, snapshot, render, export, import_, recover):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
