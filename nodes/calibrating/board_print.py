"""The board's page as a file: PDF of vectors, or PNG; and the board's TOML beside it."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from calibration.board import CharucoBoard, save_board
from calibration.errors import CalibrationError
from nodes.calibrating.board_finder import BoardFinder
from nodes.calibrating.board_page import TEXT_MM, Box, Page, mirrored, page_with

PT_PER_MM = 72 / 25.4
MM_PER_INCH = 25.4
LARGEST_PX = 20_000  # on a side of a PNG
ENDINGS = (".pdf", ".png")


def print_board(board: CharucoBoard, out: Path, paper: str, dpi: float) -> Path:
    """Write the page (the back too where the board has two sides) and the TOML, whose path is returned.

    Raises CalibrationError: an ending that is not known, a board that does not fit or cannot be.
    """
    BoardFinder(board)
    page = page_with(board, paper)
    content = contents(page, board.two_sided, out, dpi)
    temporary = out.with_name(out.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(out)
    save_board(board, toml_of(out))
    return toml_of(out)


def toml_of(out: Path) -> Path:
    """Where the board's own description goes."""
    return out.with_suffix(".toml")


def contents(page: Page, two_sided: bool, out: Path, dpi: float) -> bytes:
    """The file's bytes, by the ending of `out`."""
    if out.suffix.lower() == ".pdf":
        return pdf_of([page, mirrored(page)] if two_sided else [page])
    if out.suffix.lower() != ".png":
        raise CalibrationError(f"{out.name}: a board is written as {' or '.join(ENDINGS)}; give --out board.pdf")
    if two_sided:
        raise CalibrationError(f"{out.name}: a picture has no back; give --out board.pdf, or leave out --two-sided")
    return png_of(page, dpi)


def pdf_of(pages: Sequence[Page]) -> bytes:
    """A PDF 1.4 that asks not to be scaled when printed."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode("ascii"),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, page in enumerate(pages):
        stream = zlib.compress(_drawing(page).encode("ascii"))
        w, h = (f"{mm * PT_PER_MM:.5f}" for mm in page.size_mm)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {w} {h}] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode("ascii")
        )
        objects.append(
            f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode("ascii") + stream + b"\nendstream"
        )
    return _numbered(objects)


def _drawing(page: Page) -> str:
    """PDF operators; its y points up. Boxes of one colour are one path, so that no seam shows between them."""
    height = page.size_mm[1]
    lines = [f"{PT_PER_MM:.9f} 0 0 {PT_PER_MM:.9f} 0 0 cm"]
    colour = None
    for box in page.boxes:
        if box.black != colour:
            lines += ["f"] * (colour is not None) + ["0 g" if box.black else "1 g"]
            colour = box.black
        lines.append(f"{box.x:.4f} {height - box.y - box.h:.4f} {box.w:.4f} {box.h:.4f} re")
    lines += ["f", "0 g", f"BT /F1 {TEXT_MM} Tf"]
    for words in page.words:
        text = words.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        lines.append(f"1 0 0 1 {words.x:.4f} {height - words.y:.4f} Tm ({text}) Tj")
    return "\n".join([*lines, "ET"])


def _numbered(objects: Sequence[bytes]) -> bytes:
    """The objects with the table of where they begin."""
    content, starts = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(content))
        content += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % start for start in starts)
    count = len(objects) + 1
    return (
        content
        + b"xref\n0 %d\n0000000000 65535 f \n" % count
        + table
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(content))
    )


def png_of(page: Page, dpi: float) -> bytes:
    """Grey pixels, those on an edge grey by their share, with the resolution in the file."""
    grey = raster_of(page, dpi)
    _, encoded = cv2.imencode(".png", grey)
    content = encoded.tobytes()
    per_metre = round(dpi / MM_PER_INCH * 1000)
    body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    behind_header = 8 + 25
    return content[:behind_header] + chunk + content[behind_header:]


def raster_of(page: Page, dpi: float) -> npt.NDArray[np.uint8]:
    """(H, W) grey. Raises CalibrationError when that is too much."""
    scale = dpi / MM_PER_INCH
    w, h = (round(mm * scale) for mm in page.size_mm)
    if not (dpi >= 20 and max(w, h) <= LARGEST_PX):
        raise CalibrationError(
            f"{w}x{h} pixels at {dpi:g} dpi: a picture has at least 20 dpi and at most {LARGEST_PX} pixels on a side; "
            "give --dpi 300, or --out board.pdf, which has no pixels"
        )
    grey = np.full((h, w), 255.0)
    for box in page.boxes:
        _paint(grey, box, scale)
    for words in page.words:
        place = (round(words.x * scale), round(words.y * scale))
        size = TEXT_MM * scale / 30
        cv2.putText(grey, words.text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 0.0, max(1, round(size)), cv2.LINE_AA)
    return np.asarray(np.rint(grey), np.uint8)


def _paint(grey: npt.NDArray[np.float64], box: Box, scale: float) -> None:
    """In place; a pixel takes the box's colour by the share that is covered."""
    across, columns = _covered(box.x * scale, (box.x + box.w) * scale, grey.shape[1])
    down, rows = _covered(box.y * scale, (box.y + box.h) * scale, grey.shape[0])
    share = down[:, None] * across
    grey[rows, columns] += share * ((0.0 if box.black else 255.0) - grey[rows, columns])


def _covered(low: float, high: float, size: int) -> tuple[npt.NDArray[np.float64], slice]:
    """Share of each pixel between low and high, and which pixels these are."""
    first, behind = max(0, int(np.floor(low))), min(size, int(np.ceil(high)))
    left = np.arange(first, behind)
    return np.clip(np.minimum(left + 1, high) - np.maximum(left, low), 0.0, 1.0), slice(first, behind)
