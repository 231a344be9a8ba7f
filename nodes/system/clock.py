"""Whether the machine's clock is kept by NTP. Asks the kernel, so it needs no NTP program by name."""

import ctypes
import struct
import sys

STA_UNSYNC = 0x0040  # linux/timex.h


def clock_error_ms() -> float | None:
    """The kernel's bound on the clock's error; inf when nobody keeps it, None when this system does not tell."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    block = ctypes.create_string_buffer(256)  # struct timex is 208 bytes on 64 bit; modes = 0 reads only
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(block) < 0:
            return None
    except AttributeError:  # a libc without it
        return None
    error_us, _, status = struct.unpack_from("<qqi", block, 24)  # maxerror, esterror, status
    return float("inf") if status & STA_UNSYNC else error_us / 1000
