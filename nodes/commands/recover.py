"""`recover`: gives a recording that was cut its index again."""

import argparse
import sys
from pathlib import Path

DESCRIPTION = """\
Write the index of recordings whose recorder was ended by force (kill -9, a crash). All commands here read such
recordings as they are; other programs, such as Foxglove, want the index. Nothing that can be read is changed."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    recover = commands.add_parser(
        "recover",
        help="give a recording that was cut its index again",
        description=DESCRIPTION,
        epilog="example:\n  python run_system.py recover walk.mcap",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    recover.add_argument("sessions", type=Path, nargs="+", metavar="S.mcap", help="recordings")
    recover.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.sessions.errors import SessionError
    from nodes.sessions.recover import recover

    code = 0
    for path in options.sessions:
        try:
            print(recover(path))
        except SessionError as error:
            print(error, file=sys.stderr)
            code = 2
    return code
