"""The one exception of the geometry layer."""


class CalibrationError(Exception):
    """A calibration is missing or wrong; the message names the file, the camera and what to do."""
