"""Compiling the kernels at the first start: when it is due, what is said, and that nothing stops a start."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nodes import compiling


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """Parts that write what numba would, in a folder of their own, and do as they are told."""
    kept = tmp_path / "kept"
    kept.mkdir()
    doings = {
        part: f"open({str(kept)!r} + '/x_kernel.{kernel}-1.nbi', 'w')" for part, kernel in compiling.PARTS.items()
    }
    doings["folder"] = f"print({str(kept)!r})"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def start(part, folder):
        with (folder / f"{part}.out").open("wb") as out, (folder / f"{part}.err").open("wb") as err:
            return subprocess.Popen([sys.executable, "-c", doings[part]], stdout=out, stderr=err)

    monkeypatch.setattr(compiling, "_start", start)
    return doings


def said():
    lines: list[str] = []
    compiling.compile_kernels(lines.append)
    return lines


def test_what_is_compiled_is_not_compiled_again(parts):
    assert not compiling.compiled()
    before, after = said()
    assert before == compiling.COMPILING
    assert after.startswith("compiled in ")
    assert compiling.compiled()
    assert said() == []


def test_changed_kernels_are_compiled_again_and_the_old_ones_taken_away(parts, monkeypatch, tmp_path):
    said()
    stale = tmp_path / "kept" / "x_kernel.inner-1.nbi"
    stale.touch()
    source = tmp_path / "x_kernel.py"
    source.write_text("changed")
    monkeypatch.setattr(compiling, "SOURCES", (*compiling.SOURCES, source))
    assert not compiling.compiled()
    assert len(said()) == 2
    assert not stale.exists()


def test_every_file_with_a_kernel_counts():
    marked = {
        path for path in compiling.STAGES.glob("*.py") if re.search(r"^@(JIT|INNER|INLINE)$", path.read_text(), re.M)
    }
    assert len(marked) > 5
    assert marked < set(compiling.SOURCES)


def test_kernels_that_were_taken_away_are_compiled_again(parts, tmp_path):
    said()
    next((tmp_path / "kept").glob("*groups*")).unlink()
    assert not compiling.compiled()


def test_a_broken_note_is_no_note(parts, tmp_path):
    for text in ("", "[]", "{}", json.dumps({"key": 3, "folder": None})):
        (tmp_path / compiling.NOTE).write_text(text)
        assert not compiling.compiled()


def test_a_fault_is_said_and_stops_nothing(parts):
    parts["solver"] = "raise ValueError('no such instruction')"
    assert said()[1] == "that failed (ValueError: no such instruction); fusion tries by itself"
    assert not compiling.compiled()


def test_without_a_folder_nothing_is_compiled_in_vain(parts):
    parts["folder"] = f"raise SystemExit({compiling.NO_FOLDER})"
    assert said() == []


def test_an_unwritable_place_for_the_note_stops_nothing(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(
        compiling, "_note_places", lambda: [tmp_path / "kept" / "x_kernel.solve-1.nbi" / "below a file"]
    )
    assert len(said()) == 2
    assert not compiling.compiled()


def test_kernels_can_be_imported_where_nothing_can_be_kept(tmp_path):
    """As root every folder can be written to: files stand where folders should."""
    package = tmp_path / "calibration"
    package.mkdir()
    source = compiling.SOURCES[0]
    (package / "__init__.py").touch()
    (package / source.name).write_text(source.read_text())
    (package / "__pycache__").touch()
    environment = {**os.environ, "HOME": os.devnull, "XDG_CACHE_HOME": os.devnull}
    environment.pop("NUMBA_CACHE_DIR", None)
    code = "from calibration.triangulate_kernel import IS_KEPT; print(IS_KEPT)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_and_leaves_nothing(signum, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-u", "-m", "nodes.compiling"]
    with subprocess.Popen(command, cwd=compiling.ROOT, env=environment, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == compiling.COMPILING
        family = psutil.Process(process.pid).children(recursive=True)
        while not family:
            time.sleep(0.01)
            family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signum)
        process.wait(timeout=30)
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert not list(Path(tmp_path).glob(compiling.NOTE))
