"""The calibrator: calibrations made while the system runs. `python -m nodes.calibrator`."""
