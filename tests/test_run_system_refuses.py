"""What `run_system.py` refuses and with which words, and what else of it needs no running system."""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import run_system
from benchmarks.ports import free_port_pair
from configs.load import load_config
from nodes.commands import live, mark
from nodes.commands.live import demo_config
from nodes.system.prepare import Wishes, prepare
from nodes.system.process_table import expand

ROOT = Path(run_system.__file__).parent


def refused(*arguments: str) -> str:
    """What run_system says on stderr when it refuses; it must do so with exit code 2."""
    command = [sys.executable, "run_system.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 2, done.stderr
    return done.stderr


def config_with(tmp_path: Path, **changes: object) -> str:
    """The demo's configuration with other values (None: without the key), paths made absolute."""
    document = yaml.safe_load(demo_config().read_text())
    folder = demo_config().parent
    for key in ("calibration", "truth"):
        document[key] = str(folder / document[key])
    for camera in document["cameras"].values():
        camera["path"] = str(folder / camera["path"])
    document = {key: value for key, value in (document | changes).items() if value is not None}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_no_configuration_of_that_name():
    said = refused("live", "--config", "nowhere.yaml")
    assert "nowhere.yaml does not exist" in said
    assert "configs/demo.yaml" in said


def test_an_unknown_key_is_named_with_what_is_allowed(tmp_path):
    said = refused("live", "--config", config_with(tmp_path, camras={}))
    assert "camras: unknown key, did you mean `cameras`?" in said


def test_a_missing_calibration_is_refused_with_the_command_that_makes_one(tmp_path):
    said = refused("live", "--config", config_with(tmp_path, calibration="none.toml"))
    assert "none.toml does not exist" in said
    assert "python -m nodes.sources.virtual" in said


def test_a_camera_that_is_not_calibrated_is_named(tmp_path):
    cameras = {"garage": {"source": "device", "device": 0}}
    said = refused("live", "--config", config_with(tmp_path, cameras=cameras))
    assert "no camera 'garage'; it has front, right, back, left" in said


def test_a_missing_clip_and_a_missing_truth_are_named(tmp_path):
    cameras = {"front": {"source": "video", "path": "gone.mp4"}}
    assert "cameras.front.path" in refused("live", "--config", config_with(tmp_path, cameras=cameras))
    assert "truth:" in refused("live", "--config", config_with(tmp_path, truth="gone.npz"))


def test_a_recording_that_may_run_ahead_of_the_clock_needs_a_fusion_that_waits(tmp_path):
    cameras = {"front": {"source": "virtual", "pace": "pipeline"}}
    said = refused("live", "--config", config_with(tmp_path, cameras=cameras))
    assert "cameras.front.pace is pipeline" in said
    assert "`deadline_ms: null`" in said


def test_a_summary_into_no_folder_is_refused_before_the_run(tmp_path):
    said = refused("demo", "--headless", "--summary", str(tmp_path / "no" / "s.json"))
    assert "make it first" in said


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_in_use_names_its_holder_and_harms_nobody(which):
    port = free_port_pair()
    code = (
        f"import socket, time; s = socket.socket(); s.bind(('127.0.0.1', {port + which})); s.listen();"
        "print('listens', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            said = refused("demo", "--headless", "--hub-port", str(port))
            assert f"port {port + which}" in said
            assert f"process {holder.pid} (" in said
            assert "--hub-port 7555" in said
            with socket.create_connection(("127.0.0.1", port + which), timeout=5):
                pass  # it lives and listens
            assert holder.poll() is None
        finally:
            holder.kill()


def test_a_page_port_in_use_names_its_holder_and_what_to_do():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = refused("demo", "--hub-port", str(free_port_pair()), "--page-port", str(port))
    assert f"port {port}, at which the page should be, is in use by process {os.getpid()} (" in said
    assert "--page-port 8081" in said


def test_the_page_is_for_this_machine_alone(tmp_path):
    said = refused("live", "--config", config_with(tmp_path, viewer={"host": "0.0.0.0"}))
    assert "shown on this machine alone" in said
    config = Path(config_with(tmp_path, viewer={"host": "0.0.0.0"}))
    assert prepare(config, free_port_pair(), None, Wishes(headless=True)).setup.headless, "there is no page then"


def test_pictures_are_sent_where_they_are_asked_for(tmp_path):
    config = Path(config_with(tmp_path, preview=None))
    wishes = [Wishes(preview=given, headless=True) for given in (False, True)]
    plain, asked = (prepare(config, free_port_pair(), None, each) for each in wishes)
    assert (plain.config.preview.enabled, asked.config.preview.enabled) == (False, True)
    assert "preview:\n  enabled: true" in asked.about.config_yaml
    commands = [process.command for process in expand(run_system.TABLE, asked.setup)]
    assert [("--preview" in command) for command in commands] == ["nodes.camera" in command for command in commands]


def test_a_mark_that_nobody_hears(capsys, monkeypatch):
    monkeypatch.setattr(mark, "PATIENCE_S", 0.5)
    port = free_port_pair()
    hub = ["--hub", f"tcp://127.0.0.1:{port}", "--hub-outer", f"tcp://127.0.0.1:{port + 1}"]
    assert run_system.main(["mark", "now", *hub]) == 2
    assert "is a system running there?" in capsys.readouterr().err
    assert run_system.main(["mark", "long" * 100, *hub]) == 2


@pytest.mark.parametrize("port", ["70000", "-5", "0", "65535", "many"])
def test_a_hub_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_system.main(["demo", f"--hub-port={port}"])
    assert "--hub-port" in capsys.readouterr().err


def test_a_clip_on_another_machine_is_not_looked_for_here(tmp_path):
    cameras = {"front": {"source": "video", "path": "gone.mp4", "start": False}}
    prepared = prepare(Path(config_with(tmp_path, cameras=cameras)), free_port_pair(), None)
    assert prepared.setup.by_hand == {"front"}


def test_without_arguments_it_is_the_demo(monkeypatch):
    asked: list[argparse.Namespace] = []

    def take(options: argparse.Namespace, table: object) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(live, "_live", take)
    assert run_system.main([]) == 0
    assert asked[0].config == ROOT / "configs" / "demo.yaml"
    assert asked[0].seconds is None


def test_help_teaches_with_examples(capsys):
    with pytest.raises(SystemExit, match="0"):
        run_system.main(["--help"])
    said = capsys.readouterr().out
    assert "run_system.py demo --headless --seconds 20" in said
    assert "Ctrl-C" in said


def test_a_missing_extra_answers_with_the_install_that_mends_it(monkeypatch, capsys):
    monkeypatch.setattr(live, "NEEDED", ("yaml", "no_such_package"))
    assert run_system.main(["demo"]) == 2
    assert 'no_such_package not installed; this mends it: pip install "livepose3d[live]"' in capsys.readouterr().err


def test_importing_it_loads_nothing_and_starts_nothing():
    heavy = {"numpy", "zmq", "cv2", "mediapipe", "yaml", "pydantic", "rich", "psutil"}
    code = f"import sys, threading, run_system; print({heavy!r} & set(sys.modules), threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set() 1"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_that_ships_is_one(path):
    assert len(load_config(path).cameras) == (1 if path.stem == "one_camera" else 4)
