"""Pictures of a running system and of moments of recordings."""

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from calibration.synthetic import ring_rig
from configs.schema import Config
from nodes.commands import snapshot as snapshot_command
from nodes.page.reporter import Reporter
from nodes.page.seen import Seen
from nodes.sessions.about import about_of
from nodes.stills.living import Living
from nodes.stills.sheet import Style
from nodes.stills.snapshot import picture_of
from nodes.system.status_table import plain_line
from nodes.watching.monitor import Monitor
from nodes.watching.verdict import of_system
from nodes.watching.words import LEVEL_RGB, Level, person_rgb
from nodes.wire.bus import Publisher, now_ns
from nodes.wire.messages import About, Message, Preview
from nodes.wire.requests import PlayState
from tests import messages as make
from tests.crowd import Actor, actors
from tests.hub import Hub, free_ports, hub  # noqa: F401
from tests.takes import Part, Take

STANDING_M = Actor().joints_m(0.4)[0]
NAMES = ("front", "right", "back", "left")
RIG = ring_rig(4, 3.5, 2.2, (640, 480), 600.0)
MS = 1_000_000
SMALL = Style((800, 450))
COLOUR = (40, 90, 200)  # of the previews


@dataclass
class Told:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capsys) -> Callable[..., Told]:
    def run(*arguments: object) -> Told:
        parser = argparse.ArgumentParser()
        snapshot_command.add(parser.add_subparsers())
        options = parser.parse_args(["snapshot", *map(str, arguments)])
        return Told(options.run(options), *capsys.readouterr())

    return run


@cache
def about(pictures: bool = True) -> About:
    cameras = {name: {"source": "video", "path": f"{name}.mp4"} for name in NAMES}
    config = {"calibration": "rig.toml", "cameras": cameras, "preview": {"enabled": pictures}}
    return about_of(Config.model_validate(config), RIG)


def words_of(at_ns: int, seq: int, without: tuple[str, ...] = (), note: str = "") -> list[Message]:
    """What a system of four cameras says around an instant."""
    stamps: dict[str, Any] = {"captured_ns": at_ns, "published_ns": at_ns + 80 * MS, "seq": seq}
    said: list[Message] = [about()] if seq % 30 == 0 else []
    _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), COLOUR[::-1], np.uint8))
    for name in NAMES:
        seen_px = RIG[name].project(STANDING_M)[None].astype(np.float32)
        said.append(make.camera_health(source=name, state="streaming", note=note, **stamps))
        if name not in without:
            said.append(
                make.keypoints(
                    source=name, size_wh=(640, 480), keypoints_px=seen_px, confidence=np.ones((1, 33), "f4"), **stamps
                )
            )
            said.append(Preview(source=name, size_wh=(160, 120), jpeg=jpeg.tobytes(), **stamps))
    person = make.person(
        id=1, joints_m=STANDING_M.astype("f4"), sigma_m=np.full(33, 0.01, "f4"), reprojection_px=np.full(33, 2.5, "f4"),
        views=np.full(33, 15, "u4"), origin=np.full(33, 1, "u1"),
    )  # fmt: skip
    said.append(make.pose(people=(person,), skeleton="mediapipe33", cameras=NAMES, left_out={}, **stamps))
    said.append(make.fusion_health(cameras={}, notes=(), undecodable=0, **stamps))
    return said


def heard(*, seconds: float = 2.0, **how: Any) -> Living:
    living = Living()
    for tick in range(round(30 * seconds)):
        for message in words_of(make.START_NS + tick * 33 * MS, tick, **how):
            living.feed(message, tick * 33 * MS)
    return living


def picture(living: Living, seconds: float = 2.0, style: Style = SMALL):
    return picture_of(living, round(seconds * 1e9), "now", style)


def share_of(image, rgb, tolerance=25) -> float:
    return float((np.abs(np.asarray(image).astype(int) - rgb).max(axis=-1) <= tolerance).mean())


class TestRunning:
    def test_cameras_room_and_figures_are_there(self):
        living = heard()
        shown = picture(living)
        assert shown.shape == (450, 800, 3)
        assert share_of(shown, COLOUR) > 0.15
        assert share_of(shown, person_rgb(1), 50) > 0.001
        moment = living.moment(2 * 10**9, "now")
        assert moment.headline is not None
        assert moment.headline.level is Level.GOOD
        assert moment.notes[0].startswith("30 poses a second  ·  latency p50 80, p95 80 ms  ·  people 1")
        assert "reprojection 2.5 px" in moment.notes[0]
        assert "python" in moment.notes[1]

    def test_a_camera_that_says_nothing_is_red_and_grey(self):
        living = heard(without=("back",))
        later = living.moment(4 * 10**9, "now")
        by_name = {camera.name: camera for camera in later.cameras}
        assert by_name["back"].keypoints is None
        assert by_name["back"].picture_rgb is None
        assert by_name["back"].verdict.level >= Level.WARN
        red = share_of(picture(living, 4.0), LEVEL_RGB[Level.BAD], 8)
        assert red > share_of(picture(heard()), LEVEL_RGB[Level.BAD], 8)

    def test_without_pictures_the_tiles_say_so(self):
        living = Living()
        for message in words_of(make.START_NS, 0):
            living.feed(about(pictures=False) if isinstance(message, About) else message, 0)
        cameras = living.moment(10**8, "now").cameras
        assert {camera.instead for camera in cameras} == {"pictures are off"}

    def test_a_recording_that_stands_still_is_no_trouble(self):
        living = heard()
        stamps: dict[str, Any] = {"captured_ns": make.START_NS, "published_ns": 0, "source": "replay", "seq": 1}
        stands = PlayState(path="walk.mcap", position_s=1.0, duration_s=9.0, playing=False, **stamps)
        living.feed(stands, 29 * 10**9)
        moment = living.moment(30 * 10**9, "now")
        assert {camera.verdict.level for camera in moment.cameras} == {Level.CALM}

    def test_nobody_tells_the_configuration(self):
        living = Living()
        for message in words_of(make.START_NS, 0):
            if not isinstance(message, About):
                living.feed(message, 0)
        assert living.cameras == tuple(sorted(NAMES))
        picture(living)
        assert any("no run_system.py" in note for note in living.moment(10**8, "now").notes)

    def test_a_configuration_that_cannot_be_read(self):
        living = Living()
        living.feed(replace(about(), config_yaml="cameras: [1, 2"), 0)
        assert any("cannot be read" in note for note in living.moment(0, "now").notes)
        picture(living)

    def test_trouble_ends_with_what_caused_it(self):
        living = Living()
        living.feed(replace(about(), config_yaml="[" * 20000), 0)
        assert "cannot be read" in living.trouble
        living.feed(about(), 0)
        assert living.trouble == ""
        assert living.cameras == NAMES

    def test_other_settings_do_not_begin_the_figures_anew(self):
        living = heard()
        ticks = living.monitor.poses.ticks
        living.feed(about(pictures=False), 2 * 10**9)
        assert living.config is not None
        assert not living.config.preview.enabled
        assert living.monitor.poses.ticks == ticks > 0

    def test_a_replay_is_told_as_on_the_page(self):
        living = heard()
        play = make.play_state(playing=True, fuses=False, note="")
        living.feed(play, 2 * 10**9)
        moment = living.moment(2 * 10**9, "now")
        assert moment.headline is not None
        assert moment.headline.words == "walk.mcap plays: 4 cameras, 1 person, 30 poses a second"
        assert "no latency: the poses are played as they were recorded" in moment.notes[0]

    @pytest.mark.parametrize("changes", [{}, {"fuses": False}, {"playing": False}, {"speed": 0.5}])
    def test_page_terminal_and_picture_say_the_same_of_a_replay(self, changes):
        living, seen, terminal = heard(), Seen(), Monitor(NAMES)
        play = make.play_state(**{"playing": True, "speed": 1.0, "note": "", **changes})
        for tick in range(60):
            for message in words_of(make.START_NS + tick * 33 * MS, tick):
                seen.feed(message, tick * 33 * MS)
                terminal.feed(message, tick * 33 * MS)
        for one in (living, seen, terminal):
            one.feed(play, 2 * 10**9)
        Reporter().turn(seen, 2 * 10**9, 0)
        told, moment = terminal.status(2 * 10**9), living.moment(2 * 10**9, "now")
        assert seen.judged is not None
        assert moment.headline is not None
        assert "walk.mcap" in of_system(told).words
        assert seen.judged.whole == moment.headline == of_system(told)
        assert seen.judged.status.no_latency == told.no_latency
        assert plain_line(told, 0.0).split(" | ")[1] == moment.headline.words

    def test_a_preview_that_is_no_picture(self):
        living = Living()
        for message in words_of(make.START_NS, 0):
            living.feed(replace(message, jpeg=b"\xff\xd8 no") if isinstance(message, Preview) else message, 0)
        assert living.moment(0, "now").cameras[0].picture_rgb is None

    def test_many_notes_are_cut_off_with_their_number(self):
        living = heard(note="a note " * 30)
        assert share_of(picture(living), LEVEL_RGB[Level.WARN], 40) > 0


class TestCommand:
    def test_a_running_system(self, hub: Hub, tmp_path, command, monkeypatch):  # noqa: F811
        monkeypatch.setattr("nodes.stills.living.LISTEN_S", 0.6)
        stop = threading.Event()

        def speak() -> None:
            with Publisher(hub.inner) as publisher:
                for seq in range(10_000):
                    if stop.is_set():
                        return
                    for message in words_of(now_ns(), seq):
                        publisher.send(message)
                    time.sleep(0.05)

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            told = command("--out", tmp_path / "now.png", "--hub-outer", hub.outer, "--size", "800x450", "--wait", 20)
        finally:
            stop.set()
            speaker.join()
        assert told.code == 0, told.stderr
        assert "800x450" in told.stdout
        with Image.open(tmp_path / "now.png") as image:
            assert image.size == (800, 450)
            assert share_of(image.convert("RGB"), COLOUR) > 0.1

    def test_nothing_runs_there(self, tmp_path, command):
        outer = f"tcp://127.0.0.1:{free_ports(1)[0]}"
        told = command("--out", tmp_path / "now.png", "--hub-outer", outer, "--wait", 0.2)
        assert told.code == 2
        assert f"nothing was heard from {outer} within 0.2 s" in told.stderr
        assert not list(tmp_path.iterdir())

    def test_a_moment_of_a_recording(self, tmp_path, command):
        walk = Take(2.0, (Part(1, actors(1)[0]),)).write(tmp_path / "walk.mcap")
        assert command(walk, "--at", 1, "--out", tmp_path / "m.jpg", "--size", "801x451").code == 0
        with Image.open(tmp_path / "m.jpg") as image:
            assert image.size == (801, 451)
            assert share_of(image.convert("RGB"), person_rgb(1), 60) > 0.001

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--out", "now.bmp"), ".png or .jpg"),
            (("--out", "there.png"), "exists already"),
            (("--out", "nowhere/now.png"), "make it first"),
            (("--out", "now.png", "--at", "3"), "--at is of a recording"),
            (("--out", "now.png", "--hub-outer", "nonsense"), "nonsense"),
            (("walk.mcap", "--out", "now.png", "--at", "99"), "--at 99 is behind the end"),
            (("walk.mcap", "--out", "now.png", "--eye", "attic"), "--eye attic"),
            (("there.png", "--out", "now.png"), "there.png"),
            (("absent.mcap", "--out", "now.png"), "does not exist"),
        ],
    )
    def test_what_cannot_be(self, tmp_path, command, monkeypatch, arguments, words):
        monkeypatch.chdir(tmp_path)
        Path("there.png").write_bytes(b"precious")
        Take(0.5, (Part(1, actors(1)[0]),)).write(Path("walk.mcap"))
        told = command(*arguments)
        assert told.code == 2
        assert words in told.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["there.png", "walk.mcap"]
        assert Path("there.png").read_bytes() == b"precious"
