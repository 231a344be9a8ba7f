"""`plot`: a report about a recording."""

import argparse
import importlib.util
import sys
from pathlib import Path

NEEDED = ("numpy", "msgpack", "pydantic", "yaml", "numba", "scipy", "mcap", "matplotlib")

DESCRIPTION = """\
Write a report about a recording, as one HTML file that any browser opens and that needs nothing beside it: where people
were, gaps, how well the cameras agree, how sure the joints are, latency, and how each camera did over the take."""

EXAMPLES = """\
examples:
  python run_system.py plot walk.mcap                        writes walk.html beside it
  python run_system.py plot walk.mcap --out report.html --force

docs/compare.md says how to read it."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    parser = commands.add_parser(
        "plot",
        help="a report about a recording, as HTML with pictures",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("session", type=Path, metavar="S.mcap", help="the recording")
    parser.add_argument("--out", type=Path, metavar="OUT.html", help="where it goes (default: S.html, beside it)")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f'{", ".join(missing)} not installed; this mends it: pip install "livepose3d[report]"', file=sys.stderr)
        return 2
    from nodes.report.report import write_report
    from nodes.sessions.errors import SessionError
    from nodes.sessions.progress import bars
    from nodes.sessions.target import check_target

    out: Path = options.out or options.session.with_suffix(".html")
    try:
        check_target(out, [options.session], options.force)
        with bars([options.session.name]) as bar:
            gathered = write_report(options.session, out, lambda done: bar(options.session.name, done))
    except SessionError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{out} cannot be written: {error.strerror or error}", file=sys.stderr)
        return 2
    count = len(gathered.people.seen)
    people = "1 person" if count == 1 else f"{count} people"
    print(f"{out}: {gathered.end_s:.1f} s, {gathered.rhythm.poses} poses, {people}")
    return 0
