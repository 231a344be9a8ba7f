"""`doctor`: what this machine has, and what to do about the rest."""

import argparse
from pathlib import Path


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its arguments."""
    doctor = commands.add_parser("doctor", help="check this machine: every line is ok, or says what to do")
    doctor.add_argument("--config", type=Path, help="check also its cameras, calibration and ports")
    doctor.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from nodes.system.doctor import doctor

    return doctor(options.config)
