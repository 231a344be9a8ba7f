"""An RTSP camera that draws the time into its picture: rtsp://127.0.0.1:PORT/cam, H.264, 20 pictures a second.

Runs under the system's Python, which has GStreamer's bindings: python3 rtsp_server.py PORT BLOCK_PX COLUMNS ROWS
The bits of the milliseconds since 1970, lowest first, are white or black blocks, row by row (as in numbered_clips.py).
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PORT, BLOCK_PX, COLUMNS, ROWS = (int(argument) for argument in sys.argv[1:5])
PERIOD_MS = 50
WIDTH, HEIGHT = BLOCK_PX * COLUMNS, BLOCK_PX * ROWS
PIPELINE = (
    "( appsrc name=camera is-live=true do-timestamp=true format=time "
    f"caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={1000 // PERIOD_MS}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def picture(number: int) -> bytes:
    """I420, grey."""
    rows = []
    for row in range(ROWS):
        bits = [number >> (row * COLUMNS + column) & 1 for column in range(COLUMNS)]
        rows.append(b"".join((b"\xeb" if bit else b"\x10") * BLOCK_PX for bit in bits) * BLOCK_PX)
    return b"".join(rows) + b"\x80" * (WIDTH * HEIGHT // 2)


class Camera(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    def do_create_element(self, _url: object) -> object:
        pipeline = Gst.parse_launch(PIPELINE)
        camera = pipeline.get_by_name("camera")

        def shoot() -> bool:
            camera.emit("push-buffer", Gst.Buffer.new_wrapped(picture(time.time_ns() // 1_000_000)))
            return True

        GLib.timeout_add(PERIOD_MS, shoot)
        return pipeline


Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(str(PORT))
factory = Camera()
factory.set_shared(True)
server.get_mount_points().add_factory("/cam", factory)
if server.attach(None) == 0:
    sys.exit(f"port {PORT} is taken")
print("ready", flush=True)
GLib.MainLoop().run()
