"""`compare`: how two recordings' poses differ."""

import argparse
import importlib.util
import sys
from pathlib import Path

NEEDED = ("numpy", "msgpack", "pydantic", "yaml", "numba", "scipy", "mcap", "rich")

DESCRIPTION = """\
How the poses of two recordings differ, joint by joint and over time: a take live and reprocessed, with another
calibration, with other settings. Poses are matched by the instant they speak of (captured_ns), people by where they
are. Recordings that say the same to the last digit are called identical."""

EXAMPLES = """\
examples:
  python run_system.py compare walk.mcap better.mcap
  python run_system.py compare walk.mcap better.mcap --plot difference.png --json difference.json

docs/compare.md defines every figure."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    parser = commands.add_parser(
        "compare",
        help="how two recordings' poses differ",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=Path, metavar="A.mcap", help="a recording")
    parser.add_argument("b", type=Path, metavar="B.mcap", help="another of the same take")
    parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw it")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write all figures")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    needed = (*NEEDED, *(("matplotlib",) if options.plot else ()))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[report]"', file=sys.stderr)
        return 2
    from rich.console import Console

    from nodes.compare_told import compared_sessions, draw, print_comparison, save_json
    from nodes.sessions.errors import SessionError
    from nodes.sessions.progress import bars
    from nodes.sessions.target import check_target

    a, b = options.a, options.b
    try:
        for out in filter(None, (options.plot, options.json)):
            check_target(out, [a, b], options.force)
        with bars(["comparing"]) as bar:
            made = compared_sessions(a, b, lambda done: bar("comparing", done))
        print_comparison(made, a, b, Console())
        if options.json:
            save_json(made, a, b, options.json)
        if options.plot:
            draw(made, a, b, options.plot)
    except SessionError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:  # ValueError: matplotlib knows no such format
        print(f"the comparison cannot be written: {error}", file=sys.stderr)
        return 2
    return 0
