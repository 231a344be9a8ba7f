"""The report in a few lines, for a terminal: the verdict first."""

import math

from calibration.verdict import Judged
from nodes.calibrating.report import Figures, Report


def text_of(report: Report) -> str:
    """Verdict, reasons, advice, and a line for each camera."""
    judged = report.judgement.whole
    lines = [f"{judged.verdict}{_figures(report)}"]
    lines += [f"  - {reason}" for reason in judged.reasons]
    lines += ["what to do next:"] if judged.advice else []
    lines += [f"  - {advice}" for advice in judged.advice]
    lines += [f"note: {note}" for note in report.notes]
    width = max((len(name) for name in report.cameras), default=0)
    for name, told in report.cameras.items():
        verdict = report.judgement.cameras.get(name, Judged("unknown")).verdict
        lines.append(f"  {name:<{width}}  {verdict:<7}  {_px(told.held_out or told.train)}")
    for name, other in report.compared.items():
        lines.append(f"  {name}, on the same frames: {_px(other.held_out)}")
    return "\n".join(lines)


def _figures(report: Report) -> str:
    figures = report.held_out or report.train
    told = [_px(figures)] if figures is not None else []
    if report.spacing is not None and math.isfinite(report.spacing.mm):
        told.append(f"squares {report.spacing.mm:.2f} mm instead of {report.spacing.square_mm:.2f}")
    return f": {', '.join(told)}" if told else ""


def _px(figures: Figures | None) -> str:
    if figures is None or not math.isfinite(figures.px_p50):
        return "nothing seen together"
    return f"{figures.px_p50:.2f} px median, 95 of 100 below {figures.px_p95:.2f}"
