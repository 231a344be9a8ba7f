"""Videos of recordings: what is in them and when, and what is said when something is missing."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import GifImagePlugin, Image

from configs.schema import Config
from nodes.commands import render as render_command
from nodes.drawing.strokes import blank
from nodes.recorded_video import recorded_videos
from nodes.sessions.about import about_of
from nodes.sessions.reader import SessionReader
from nodes.sessions.writer import new_session
from nodes.sources.source import Frame
from nodes.stills import film
from nodes.stills.recorded import Recording, clock
from nodes.stills.reel import Reel
from nodes.stills.render import Wish, render
from nodes.stills.sheet import Style
from nodes.stills.winder import Winder
from nodes.video_files import VideoFiles
from nodes.watching.words import BESIDE_RGB, person_rgb
from nodes.wire.messages import CameraHealth, Keypoints2D, Message, Pose3D
from tests import messages as make
from tests.crowd import actors
from tests.numbered_clips import number_in, picture_of
from tests.session_files import config_of, rig_of, saved
from tests.takes import CAMERAS, Part, Take

STANDING, OTHER = actors(2)
SMALL = Style((480, 270))
MS = 1_000_000


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> Path:
    """Two people before three cameras, two seconds."""
    return Take(2.0, (Part(1, STANDING), Part(2, OTHER))).write(tmp_path_factory.mktemp("take") / "walk.mcap")


@dataclass
class Told:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capsys) -> Callable[..., Told]:
    def run(*arguments: object) -> Told:
        parser = argparse.ArgumentParser()
        render_command.add(parser.add_subparsers())
        options = parser.parse_args(["render", *map(str, arguments)])
        return Told(options.run(options), *capsys.readouterr())

    return run


def pictures_of(path: Path) -> list[npt.NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def frames_in(image: Image.Image) -> int:
    assert isinstance(image, GifImagePlugin.GifImageFile)
    return image.n_frames


def is_like(picture, rgb, tolerance=30):
    return np.abs(picture.astype(int) - rgb).max(axis=-1) <= tolerance


class TestVideo:
    def test_it_has_all_pictures_at_their_times(self, walk, tmp_path, command):
        told = command(walk, tmp_path / "out.mp4", "--from", 0.5, "--to", 1.5, "--fps", 10, "--size", "481x271")
        assert told.code == 0, told.stderr
        assert "10 pictures, 1.0 s, 480x270" in told.stdout
        assert "pictures drawn a second" in told.stdout
        with av.open(str(tmp_path / "out.mp4")) as container:
            frames = list(container.decode(video=0))
            assert container.streams.video[0].codec_context.name == "h264"
        assert [frame.time for frame in frames] == pytest.approx(np.arange(10) / 10, abs=1e-6)
        assert all(is_like(frames[-1].to_ndarray(format="rgb24"), person_rgb(i)).sum() > 50 for i in (1, 2))
        assert (pictures_of(tmp_path / "out.mp4")[0] != frames[-1].to_ndarray(format="rgb24")).any()
        assert not list(tmp_path.glob("*.part"))

    def test_speed_takes_the_same_moments_farther_apart(self, walk, tmp_path):
        slow = replace(_wish(tmp_path / "slow.mp4"), speed=0.5, from_s=0.5, to_s=1.0, fps=8.0)
        fast = replace(_wish(tmp_path / "fast.mp4"), speed=2.0, from_s=0.0, to_s=1.5, fps=8.0)
        assert [render(walk, wish, lambda _: None).pictures for wish in (slow, fast)] == [8, 6]

    def test_an_eye_that_circles_sees_another_room(self, walk, tmp_path):
        wish = replace(_wish(tmp_path / "turn.mp4"), style=Style((320, 240), only="room"), turn_deg_s=90.0, to_s=1.0)
        render(walk, replace(wish, fps=2.0), lambda _: None)
        one, other = pictures_of(tmp_path / "turn.mp4")
        assert (np.abs(one.astype(int) - other).max(axis=2) > 40).mean() > 0.005

    def test_a_gif_is_what_was_drawn(self, walk, tmp_path, command):
        assert command(walk, tmp_path / "out.gif", "--to", 1, "--fps", 8, "--size", "320x200").code == 0
        with Image.open(tmp_path / "out.gif") as gif:
            assert frames_in(gif) == 8
            assert gif.info["loop"] == 0
            durations = []
            for number in range(8):
                gif.seek(number)
                durations.append(gif.info["duration"])
            assert sum(durations) == 1000
            last = np.asarray(gif.convert("RGB"))
        render(walk, replace(_wish(tmp_path / "out.mp4"), style=Style((320, 200)), fps=8.0, to_s=1.0), lambda _: None)
        assert np.abs(last.astype(int) - pictures_of(tmp_path / "out.mp4")[-1]).mean() < 6

    def test_two_results_side_by_side(self, walk, tmp_path):
        other = Take(2.0, (Part(1, OTHER), Part(2, STANDING))).write(tmp_path / "other.mcap")
        style = Style((480, 270), only="room")
        alone = replace(_wish(tmp_path / "alone.mp4"), style=style, to_s=0.2, fps=5.0)
        render(walk, alone, lambda _: None)
        render(walk, replace(alone, out=tmp_path / "both.mp4", beside=other), lambda _: None)
        white = [is_like(pictures_of(tmp_path / f"{name}.mp4")[0], BESIDE_RGB).sum() for name in ("alone", "both")]
        assert white[1] > white[0] + 100

    def test_ctrl_c_keeps_what_is_drawn(self, walk, tmp_path, command, monkeypatch):
        count = 0
        drawn = film.Mp4.add

        def add(self, picture):
            nonlocal count
            count += 1
            if count > 5:
                raise KeyboardInterrupt
            drawn(self, picture)

        monkeypatch.setattr(film.Mp4, "add", add)
        told = command(walk, tmp_path / "out.mp4", "--size", "320x200")
        assert told.code == 130
        assert "holds what was drawn" in told.stderr
        assert len(pictures_of(tmp_path / "out.mp4")) == 5
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]

    def test_ctrl_c_before_the_first_picture_leaves_nothing(self, walk, tmp_path, monkeypatch):
        def add(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(film.Mp4, "add", add)
        with pytest.raises(KeyboardInterrupt):
            render(walk, _wish(tmp_path / "out.mp4"), lambda _: None)
        assert not list(tmp_path.iterdir())


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("{walk}", "out.avi"), ".mp4 or .gif"),
            (("{walk}", "out"), ".mp4 or .gif"),
            (("{walk}", "nowhere/out.mp4"), "nowhere/out.mp4: there is no folder nowhere: make it first"),
            (("{walk}", "there.mp4"), "exists already"),
            (("{walk}", "out.mp4", "--from", "9"), "--from 9 is behind the end"),
            (("{walk}", "out.mp4", "--from", "1", "--to", "0.5"), "--to 0.5 is not behind"),
            (("{walk}", "out.mp4", "--fps", "0"), "--fps 0"),
            (("{walk}", "out.mp4", "--fps", "nan"), "--fps nan"),
            (("{walk}", "out.gif", "--fps", "60"), "--fps 60"),
            (("{walk}", "out.mp4", "--fps", "1e-9"), "--fps 1e-09: 0.1 to 120 pictures"),
            (("{walk}", "out.mp4", "--turn", "nan"), "--turn nan: give degrees"),
            (("{walk}", "out.mp4", "--turn=-inf"), "--turn -inf: give degrees"),
            (("{walk}", "out.mp4", "--eye=1e300,1,1"), "--eye 1e300,1,1: give corner"),
            (("{walk}", "out.mp4", "--speed", "-1"), "--speed -1"),
            (("{walk}", "out.mp4", "--eye", "attic"), "--eye attic: give corner"),
            (("{walk}", "out.mp4", "--beside", "absent.mcap"), "does not exist"),
            (("absent.mcap", "out.mp4"), "does not exist"),
            (("there.mp4", "out.mp4"), "there.mp4"),
        ],
    )
    def test_what_cannot_be_is_said_with_what_to_do(self, walk, tmp_path, command, monkeypatch, arguments, words):
        monkeypatch.chdir(tmp_path)
        Path("there.mp4").write_bytes(b"precious")
        told = command(*(argument.format(walk=walk) for argument in arguments))
        assert told.code == 2
        assert words in told.stderr
        assert "--out" not in told.stderr, "it has no such option"
        assert Path("there.mp4").read_bytes() == b"precious"
        assert [path.name for path in tmp_path.iterdir()] == ["there.mp4"]

    @pytest.mark.parametrize("size", ["0x0", "100", "axb", "99999x10", "640x480x3", "-640x480"])
    def test_what_is_no_size(self, walk, command, size):
        with pytest.raises(SystemExit):
            command(walk, "out.mp4", f"--size={size}")

    def test_a_recording_with_nothing_to_draw(self, tmp_path, command):
        told = command(saved(tmp_path / "empty.mcap", []), tmp_path / "out.mp4")
        assert told.code == 2
        assert "neither keypoints nor poses" in told.stderr


class TestPoorRecordings:
    def test_keypoints_without_poses(self, tmp_path):
        content = [(m, at_ns) for m, at_ns in Take(1.0, (Part(1, STANDING),)).messages() if not isinstance(m, Pose3D)]
        _renders(_written(tmp_path, content), tmp_path)

    def test_poses_without_keypoints(self, tmp_path):
        content = list(Take(1.0, (Part(1, STANDING),), keypoints=False).messages())
        _renders(_written(tmp_path, content), tmp_path)

    def test_nobody_in_it(self, tmp_path):
        _renders(Take(1.0, ()).write(tmp_path / "s.mcap"), tmp_path)

    def test_without_calibration(self, tmp_path):
        cameras = {"only": {"source": "video", "path": "only.mp4"}}
        about = about_of(Config.model_validate({"cameras": cameras}), None)
        with new_session(tmp_path / "s.mcap", about, force=False, at_ns=make.START_NS) as writer:
            for tick in range(20):
                stamps: dict[str, Any] = {
                    "captured_ns": make.START_NS + tick * 33 * MS,
                    "published_ns": make.START_NS,
                    "seq": tick,
                }
                writer.write(make.keypoints(source="only", **stamps), make.START_NS + tick * 33 * MS)
                writer.write(make.pose(frame="root_relative", **stamps), make.START_NS + tick * 33 * MS)
        _renders(tmp_path / "s.mcap", tmp_path)

    def test_cut_off_in_the_middle(self, walk, tmp_path):
        whole = walk.read_bytes()
        (tmp_path / "s.mcap").write_bytes(whole[: 2 * len(whole) // 3])
        _renders(tmp_path / "s.mcap", tmp_path)

    def test_an_unknown_skeleton_and_absurd_numbers(self, tmp_path):
        rng = np.random.default_rng(0)
        content: list[tuple[Message, int]] = []
        for tick in range(20):
            at_ns = make.START_NS + tick * 33 * MS
            stamps: dict[str, Any] = {"captured_ns": at_ns, "published_ns": at_ns, "seq": tick}
            joints_m = rng.choice([np.nan, np.inf, -1e30, 0.3, 1e5], (17, 3)).astype(np.float32)
            person = make.person(joints_m=joints_m, sigma_m=np.full(17, np.inf, np.float32))
            content.append((make.pose(people=(person,), skeleton="marsian17", **stamps), at_ns))
            keypoints_px = rng.choice([np.nan, np.inf, -1e30, 100.0], (2, 33, 2)).astype(np.float32)
            content.append(
                (make.keypoints(skeleton="marsian33", source="left", keypoints_px=keypoints_px, **stamps), at_ns)
            )
        _renders(saved(tmp_path / "s.mcap", content), tmp_path)


class TestPictures:
    """Videos of the take are shown at the moments at which their pictures were taken."""

    @pytest.fixture
    def filmed(self, tmp_path):
        """A take with a video of the camera `left`, its pictures numbered, taken at uneven times; `right` has none."""
        times_ns = make.START_NS + (np.cumsum([30, 40, 35, 25] * 20) * MS)
        video = VideoFiles(tmp_path, "walk", "left", "h264", 10, (320, 160), 30.0)
        for number, at_ns in enumerate(times_ns):
            grey = picture_of(number)
            video.write(Frame(np.repeat(grey[..., None], 3, axis=2), int(at_ns), number))
        video.close()
        content = list(Take(2.5, (Part(1, STANDING),)).messages())
        content += [(_health(name, at_ns, f"walk.{name}.mkv"), at_ns) for name in ("left", "right")
                    for at_ns in (make.START_NS + 900 * MS,)]  # fmt: skip
        return _written(tmp_path, content, "walk.mcap"), times_ns

    @pytest.mark.parametrize("from_s", [0.0, 1.3])
    def test_the_nearest_picture_is_shown(self, filmed, from_s):
        session, times_ns = filmed
        reel = Reel(recorded_videos(session, ("left",))["left"], make.START_NS + round(from_s * 1e9))
        for at_ns in make.START_NS + (np.arange(from_s, 2.4, 0.021) * 1e9).astype(np.int64):
            picture = reel.at(int(at_ns))
            assert picture is not None
            shown = number_in(picture)
            assert abs(times_ns[shown] - at_ns) == np.abs(times_ns - at_ns).min()
        assert reel.at(int(times_ns[-1]) + 2 * 10**9) is None
        reel.close()

    def test_what_is_missing_is_said_and_the_rest_is_shown(self, filmed, tmp_path, command):
        session, _ = filmed
        told = command(session, tmp_path / "out.mp4", "--fps", 5, "--size", "480x270", "--only", "cameras")
        assert told.code == 0
        assert "camera right" in told.stderr
        assert "walk.right.mkv" in told.stderr
        assert "camera left" not in told.stderr
        assert "camera back" not in told.stderr  # it never had one
        fourth = pictures_of(tmp_path / "out.mp4")[3]
        assert is_like(fourth, (0, 0, 0), 8).mean() > 0.1  # most bits of the number

    def test_videos_in_another_folder(self, filmed, tmp_path):
        session, _ = filmed
        elsewhere = tmp_path / "videos"
        elsewhere.mkdir()
        for path in tmp_path.glob("walk.left.*"):
            path.rename(elsewhere / path.name)
        with SessionReader(session) as reader:
            recording = Recording(reader, video_folder=elsewhere)
            assert recording.has_pictures
            assert recording.moment(1.0).cameras[0].picture_rgb is not None
            recording.close()

    def test_a_video_that_is_none(self, filmed, tmp_path):
        session, _ = filmed
        (tmp_path / "walk.left.mkv").write_bytes(b"no video")
        _renders(session, tmp_path)


class TestTape:
    def test_the_nearest_of_each_source(self, walk):
        with SessionReader(walk) as session:
            tape = Winder(session.logged(Keypoints2D, Pose3D))
            for at_s in (0.2, 0.21, 0.9, 1.7):
                at_ns = make.START_NS + round(at_s * 1e9)
                tape.wind(at_ns)
                for kind, source in ((Pose3D, "fusion"), *((Keypoints2D, name) for name in CAMERAS)):
                    found = tape.nearest(kind, source, at_ns)
                    assert found is not None
                    assert abs(found.captured_ns - at_ns) <= 17 * MS

    def test_a_camera_that_dies_holds_nothing_up(self, tmp_path):
        content = [
            (message, at_ns)
            for message, at_ns in Take(4.0, (Part(1, STANDING),)).messages()
            if message.source != "back" or message.captured_ns < make.START_NS + 10**9
        ]
        session = _written(tmp_path, content)
        with SessionReader(session) as reader:
            tape = Winder(reader.logged(Keypoints2D, Pose3D))
            at_ns = make.START_NS + round(2.5e9)
            tape.wind(at_ns)
            assert not tape.ended
            assert tape.nearest(Keypoints2D, "back", at_ns) is None
            assert tape.nearest(Keypoints2D, "left", at_ns) is not None

    def test_memory_does_not_grow(self, walk):
        with SessionReader(walk) as session:
            tape = Winder(session.logged(Keypoints2D, Pose3D))
            for tick in range(60):
                tape.wind(make.START_NS + tick * 33 * MS)
            assert max(len(kept) for kept in tape._kept.values()) < 40


def test_a_gif_is_written_piece_by_piece(tmp_path):
    picture = blank((200, 100))
    with film.open_film(tmp_path / "a.gif", ".gif", (200, 100), 12.5) as gif:
        for number in range(60):
            picture = picture.copy()
            picture[20:40, 3 * number : 3 * number + 20] = person_rgb(number)
            gif.add(picture)
        assert isinstance(gif, film.Gif)
        assert gif._first == []
    with Image.open(tmp_path / "a.gif") as made:
        assert frames_in(made) == 60
        made.seek(59)
        assert np.abs(np.asarray(made.convert("RGB")).astype(int) - picture).max() < 30


def test_the_clock():
    assert [clock(at_s) for at_s in (0.0, 59.96, 61.25, 3599.9)] == ["0:00.0", "0:59.9", "1:01.2", "59:59.9"]


def _wish(out: Path) -> Wish:
    return Wish(out, SMALL)


def _written(folder: Path, content, name="s.mcap") -> Path:
    about = about_of(config_of(CAMERAS), rig_of(CAMERAS))
    with new_session(folder / name, about, force=True, at_ns=make.START_NS) as writer:
        for message, log_ns in sorted(content, key=lambda each: each[1]):
            writer.write(message, log_ns)
    return folder / name


def _renders(session: Path, folder: Path) -> None:
    made = render(session, replace(_wish(folder / "out.mp4"), fps=5.0), lambda _: None)
    assert made.pictures >= 1
    assert len(pictures_of(folder / "out.mp4")) == made.pictures


def _health(camera: str, at_ns: int, video: str) -> CameraHealth:
    return make.camera_health(source=camera, captured_ns=at_ns, published_ns=at_ns, video_file=video, seq=10**6)
