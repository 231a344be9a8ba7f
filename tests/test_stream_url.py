"""Addresses of network cameras: which are taken, and that no password is ever shown."""

import pytest

from configs.errors import ConfigError
from configs.load import load_config
from configs.stream_url import checked_url, without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@10.0.0.7:554/ch1", "rtsp://10.0.0.7:554/ch1"),
        ("rtsp://10.0.0.7/ch1?user=u&password=p", "rtsp://10.0.0.7/ch1?…"),
        ("http://u:p@ss@[fe80::1]:80/video#p", "http://[fe80::1]:80/video"),
        ("http://10.0.0.7/video", "http://10.0.0.7/video"),
        ("rtsp://user:se/cret@host/stream", "rtsp://host/stream"),
        ("rtsp://user:p[x@host/stream", "rtsp://host/stream"),
        ("rtsp://user:pa#ss@host/stream", "rtsp://…"),
        ("rtsp://user:p?q@host/stream", "rtsp://…"),
        ("rtsp://10.0.0.7/ch1?password=se@cret", "rtsp://…"),
        ("user:secret@host", "host"),
        ("rtsp://a:b://c@host/stream", "rtsp://host/stream"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url, shown):
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://x",
        "rtsp://user:password@192.168.1.21/stream1",
        "rtsp://user:p%2Fq%5B@camera.local:554/a/b?c=d@e",
        "http://[fe80::1%25eth0]:8080/video@2",
        "udp://@239.1.1.1:1234",
    ],
)
def test_a_good_address_is_taken_as_it_is(url):
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtsp://user:SE/CRET@host/stream", "write %2F for /"),
        ("rtsp://user:SE#CRET@host/stream", "%23 for #"),
        ("rtsp://user:SE?CRET@host/stream", "%3F for ?"),
        ("rtsp://user:SE[CRET@host/stream", "%5B for ["),
        ("rtsp://user:SECRET@/stream", "no host"),
        ("rtsp://SECRET:port/stream", "a port that is no number"),
        ("//user:SECRET@host/stream", "begins with scheme and host"),
        ("SECRET", "begins with scheme and host"),
    ],
)
def test_another_is_refused_and_not_shown(tmp_path, url, said):
    path = tmp_path / "c.yaml"
    path.write_text(f"calibration: c.toml\ncameras: {{left: {{source: stream, url: '{url}'}}}}\n")
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    (line,) = str(refusal.value).splitlines()
    assert "cameras.left.url: " in line
    assert said in line
    assert "SE" not in line
    assert "CRET" not in line


@pytest.mark.parametrize(
    "camera",
    [
        "'rtsp://user:SECRET@host'",  # the address in place of the camera
        "{source: stream, url: ['rtsp://user:SECRET@host']}",
        "{source: stream, url: rtsp://x, transport: 'rtsp://user:SECRET@host'}",
        "{source: stream, url: rtsp://user:SECRET@host: x}",  # no YAML; the parser would quote the line
    ],
)
def test_no_other_fault_shows_an_address_either(tmp_path, camera):
    path = tmp_path / "c.yaml"
    path.write_text(f"calibration: c.toml\ncameras: {{left: {camera}}}\n")
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    assert "SECRET" not in str(refusal.value)
