"""Configuration files: the shipped ones load, and every fault stops the start with file, key and what is allowed."""

from pathlib import Path

import pytest

from configs import schema
from configs.errors import ConfigError
from configs.load import load_config

SHIPPED = Path(schema.__file__).parent
BASE = """
calibration: rig.toml
cameras:
  left: {source: video, path: left.mp4}
  right: {source: virtual}
"""


def video_path(config: schema.Config, camera: str) -> Path:
    source = config.cameras[camera]
    assert isinstance(source, schema.VideoSource)
    return source.path


@pytest.fixture
def load(tmp_path):
    """Loads a configuration given as text."""

    def load_text(text: str) -> schema.Config:
        path = tmp_path / "my.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path)

    return load_text


@pytest.fixture
def refused(load, tmp_path):
    """The message that refuses a configuration given as text."""

    def message_of(text: str) -> str:
        with pytest.raises(ConfigError) as refusal:
            load(text)
        message = str(refusal.value)
        assert message.startswith(f"{tmp_path / 'my.yaml'}: ")
        return message

    return message_of


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path):
    config = load_config(path)
    if len(config.cameras) > 1:
        assert config.calibration is not None
        assert config.calibration.is_absolute()
    assert not config.hub.trust_network, "nothing listens beyond loopback unless asked"
    assert config.preview.enabled == (path.name == "demo.yaml"), "pictures are personal data"


def test_the_demo_has_all_its_files():
    config = load_config(SHIPPED / "demo.yaml")
    assert config.truth is not None
    assert config.calibration is not None
    paths = [config.calibration, config.truth, *(video_path(config, name) for name in config.cameras)]
    assert [path for path in paths if not path.is_file()] == []


def test_defaults_and_given_values(load):
    config = load(BASE + "fusion: {smoothing: {kind: one_euro}}\nhub: {outer: 'tcp://127.0.0.1:7556'}\n")
    assert isinstance(config.cameras["left"], schema.VideoSource)
    assert config.cameras["left"].pace == "realtime"
    assert isinstance(config.cameras["right"], schema.VirtualSource)
    assert config.fusion.smoothing.kind == "one_euro"
    assert config.fusion.synchroniser.rate_hz == 30.0
    assert (config.hub.inner, config.hub.outer) == ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:7556")
    assert list(config.cameras) == ["left", "right"]


def test_what_was_loaded_does_not_change(load):
    with pytest.raises(ValueError, match="frozen"):
        load(BASE).calibration = Path("other.toml")


def test_relative_paths_are_meant_from_the_folder_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "project" / "configs"
    folder.mkdir(parents=True)
    (folder / "my.yaml").write_text(BASE.replace("left.mp4", "../clips/left.mp4") + "truth: /data/truth.npz\n")
    monkeypatch.chdir(tmp_path)
    for path in (folder / "my.yaml", Path("project/configs/my.yaml"), "project/configs/my.yaml"):
        config = load_config(path)
        assert config.calibration == folder / "rig.toml"
        assert video_path(config, "left") == tmp_path / "project" / "clips" / "left.mp4"
        assert config.truth == Path("/data/truth.npz")


def test_a_tilde_is_the_home_folder(load, refused, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(BASE.replace("rig.toml", "~/rig.toml")).calibration == Path("/home/somebody/rig.toml")
    assert "calibration: " in refused(BASE.replace("rig.toml", "~nosuchuser/rig.toml"))


@pytest.mark.parametrize(
    ("text", "where", "guess", "allowed"),
    [
        ("fussion: {}", "fussion", "fusion", "cameras"),
        ("fusion: {synchronizer: {}}", "fusion.synchronizer", "synchroniser", "triangulation"),
        ("fusion: {smoothing: {max_gap: 3}}", "fusion.smoothing.max_gap", "max_gap_ms", "beta"),
        ("hub: {iner: 'tcp://127.0.0.1:1'}", "hub.iner", "inner", "trust_network"),
        ("detector: {colour: blue}", "detector.colour", None, "task_file"),
    ],
)
def test_an_unknown_key_is_named_with_what_is_allowed(refused, text, where, guess, allowed):
    message = refused(BASE + text)
    assert f"{where}: unknown key" in message
    assert (f"did you mean `{guess}`?" in message) if guess else ("did you mean" not in message)
    assert allowed in message.partition("Allowed here: ")[2]


@pytest.mark.parametrize("name", ["left", "video", "device"])
def test_an_unknown_key_of_a_camera_is_judged_by_the_kind_of_its_source(refused, name):
    message = refused(f"calibration: r.toml\ncameras: {{{name}: {{source: video, path: a.mp4, lop: true}}}}")
    assert f"cameras.{name}.lop: unknown key, did you mean `loop`? Allowed here: loop, pace, path, source" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fusion: {synchroniser: {rate_hz: fast}}", "fusion.synchroniser.rate_hz: Input should be a valid number"),
        ("fusion: {synchroniser: {rate_hz: 0}}", "greater than 0 (given: 0)"),
        ("fusion: {synchroniser: {rate_hz: 500}}", "less than or equal to 240 (given: 500)"),
        ("fusion: {synchroniser: {deadline_ms: .inf}}", "fusion.synchroniser.deadline_ms"),
        ("fusion: {synchroniser: {max_gap_ms: .nan}}", "fusion.synchroniser.max_gap_ms"),
        ("fusion: {synchroniser: 5}", "fusion.synchroniser: Input should be a valid dictionary"),
        ("fusion: {smoothing: {kind: kalmann}}", "'kalman', 'one_euro' or 'none' (given: 'kalmann')"),
        ("fusion:", "fusion: Input should be a valid dictionary"),
        ("preview: {width_px: 10.5}", "preview.width_px"),
        ("preview: {enabled: perhaps}", "preview.enabled: Input should be a valid boolean"),
        ("hub: {inner: 'localhost'}", "hub.inner: String should match pattern"),
        ("detector: {kind: openpose}", "detector.kind: Input should be 'mediapipe'"),
        ("crop_offset_px: {left: [0]}", "crop_offset_px.left.1: Field required"),
        ("crop_offset_px: {left: [.nan, 0]}", "crop_offset_px.left"),
        ("crop_offset_px: {top: [0, 0]}", "crop_offset_px names 'top', which is not under cameras"),
        ("1: 2", "Keys should be strings"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(refused, text, expected):
    assert expected in refused(BASE + text)


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ("{source: webcam}", "'device', 'stream', 'video', 'virtual'"),
        ("{path: a.mp4}", "cameras.top: Unable to extract tag using discriminator 'source'"),
        ("{source: video}", "cameras.top.path: Field required"),
        ("{source: video, path: a.mp4, pace: slow}", "cameras.top.pace: Input should be 'realtime' or 'pipeline'"),
        ("{source: video, path: 5}", "cameras.top.path"),
        ("{source: stream}", "cameras.top.url: Field required"),
        ("{source: device, device: 0, size_wh: [0, 480]}", "cameras.top.size_wh.0: Input should be greater than 0"),
        ("{source: device, device: 0, size_wh: [640]}", "cameras.top.size_wh.1: Field required"),
        ("{source: device, device: 0, pixel_format: mjpeg}", "cameras.top.pixel_format"),
        ("{source: virtual, fps: .inf}", "cameras.top.fps"),
        ("{source: virtual, actors: 0}", "cameras.top.actors"),
        ("5", "cameras.top"),
    ],
)
def test_a_wrong_camera_is_named_with_what_is_allowed(refused, camera, expected):
    assert expected in refused(f"calibration: r.toml\ncameras: {{top: {camera}}}")


@pytest.mark.parametrize("name", ["'a b'", "'a/b'", "''", "'a.b'", "1", f"'{'x' * 41}'"])
def test_a_camera_name_that_no_topic_could_carry_is_refused(refused, name):
    assert "cameras." in refused(f"calibration: r.toml\ncameras: {{{name}: {{source: virtual}}}}")


def test_all_faults_are_told_at_once(refused):
    lines = refused("cameras: {left: {source: stream, ur: x}}\nhub: {inner: here}").splitlines()
    assert len(lines) == 3  # no url, unknown ur, no address
    assert all("my.yaml: " in line for line in lines)


ONE = "cameras: {webcam: {source: device, device: 0}}\n"


def test_one_camera_can_do_without_a_calibration(load):
    assert load(ONE).calibration is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace("calibration: rig.toml", ""), "2 cameras (left, right): together they need a calibration file"),
        (ONE + "truth: truth.npz", "truth means places in a calibrated room: add `calibration: rig.toml`"),
        (ONE + "crop_offset_px: {webcam: [1, 2]}", "crop_offset_px means places in a calibrated room"),
        (ONE + "fusion: {lift: false}", "all depth comes from the lifter: remove `lift: false`"),
        ("cameras: {left: {source: virtual}}", "a virtual camera is built from its calibration"),
    ],
)
def test_what_needs_a_calibration_says_so(refused, text, said):
    assert said in refused(text)


@pytest.mark.parametrize("text", ["cameras: {}", "cameras: [left]", "cameras:"])
def test_without_cameras_nothing_starts(refused, text):
    assert "cameras" in refused(f"calibration: r.toml\n{text}\n")


def test_a_key_that_stands_twice_is_refused(refused):
    """Or the second `left` would take the first one's place without a word."""
    assert "the key `left` stands here twice" in refused(BASE + "  left: {source: virtual}\n")
    assert "the key `hub` stands here twice" in refused(BASE + "hub: {}\nhub: {}\n")


def test_a_value_may_be_used_twice_by_its_anchor(load):
    cameras = "  a: &camera {source: virtual, fps: 7}\n  b: *camera\n"
    cameras += "  c: &other {<<: *camera, fps: 8}\n  d: {<<: *other}\n"
    config = load(f"calibration: r.toml\ncameras:\n{cameras}")
    assert [getattr(source, "fps", None) for source in config.cameras.values()] == [7.0, 7.0, 8.0, 8.0]


@pytest.mark.parametrize(
    "text",
    ["a: [", "cameras: {left: }}", "\tcalibration: x", "a: !!python/object:os.system x", "a: *b", "? [a, b]\n: {c"],
)
def test_what_is_no_yaml_is_refused(refused, text):
    assert "this is not YAML" in refused(text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01calibration")
    with pytest.raises(ConfigError, match="this is not YAML"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "kind"), [("", "NoneType"), ("# nothing\n", "NoneType"), ("- a\n", "list"), ("word", "str")]
)
def test_a_file_without_keys_is_refused(refused, text, kind):
    assert f"expected keys such as `cameras:` and `calibration:`, found {kind}" in refused(text)


def test_a_missing_file_is_named_with_one_to_try(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigError, match=r"does not exist; try configs/demo\.yaml"):
            load_config(path)


@pytest.mark.parametrize("name", ["hub", "fusion", "recorder", "replay", "viewer"])
def test_a_camera_does_not_take_the_name_of_another_process(refused, name):
    said = refused(BASE.replace("right:", f"{name}:"))
    assert f"no camera may be called '{name}'" in said
    assert "hub, fusion, recorder, replay, viewer" in said


@pytest.mark.parametrize("key", ["inner", "outer"])
@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_is_none_is_refused(refused, key, port):
    said = refused(BASE + f"hub: {{{key}: 'tcp://127.0.0.1:{port}'}}\n")
    assert f"hub.{key}: " in said
    assert "from 1 to 65535" in said


def test_every_kind_of_camera_may_be_started_by_hand(load):
    config = load(
        "calibration: rig.toml\ncameras:\n"
        "  a: {source: video, path: left.mp4, start: false}\n"
        "  b: {source: virtual, start: false}\n"
        "  c: {source: device, device: 0, start: false}\n"
        "  d: {source: stream, url: 'rtsp://10.0.0.7/1', start: false}\n"
        "  e: {source: virtual}\n"
    )
    assert [source.start for source in config.cameras.values()] == [False, False, False, False, True]
