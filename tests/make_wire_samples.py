"""Writes the bytes of every kind of message in the present schema: `python -m tests.make_wire_samples`.

Run once for each schema version. The files are kept for ever and never written again: they stand for the programs and
recordings out there, which a later version still has to read.
"""

import sys
from pathlib import Path

from nodes.wire.messages import SCHEMA_VERSION
from nodes.wire.topics import envelope
from tests.messages import SAMPLES

FOLDER = Path(__file__).parent / "data" / f"wire_v{SCHEMA_VERSION}"


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, message in SAMPLES.items():
        path = FOLDER / f"{name}.bin"
        if path.exists():
            print(f"{path} is kept as it is")
        else:
            path.write_bytes(envelope(message))
            print(f"{path} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
