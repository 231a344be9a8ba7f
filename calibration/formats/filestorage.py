"""OpenCV's FileStorage as YAML or XML, without OpenCV: matrices, texts, numbers, lists and maps. As JSON it is the map.

YAML's first line, `%YAML:1.0`, is no YAML, and `!!opencv-matrix` a tag of OpenCV's own. Scalars are read as texts, so
that a camera called 01 stays 01; `matrix_of` and `number_of` make numbers of them.
"""

import json
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import yaml

from calibration.errors import CalibrationError

Array = npt.NDArray[np.float64]

HEAD = "%YAML:1.0\n---\n"
NUMBERS = {".nan": "nan", "-.nan": "nan", ".inf": "inf", "-.inf": "-inf"}


def parse_yaml(text: str) -> dict[str, Any]:
    """The map that a YAML file is. Raises CalibrationError."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    try:
        document = yaml.load(
            "\n".join(lines), yaml.BaseLoader
        )  # of tags that it does not know, it takes the plain value
    except (yaml.YAMLError, RecursionError) as error:
        raise CalibrationError(f"this is not YAML of OpenCV: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise CalibrationError("this is YAML without any key: not a calibration")
    return document


def parse_xml(root: ElementTree.Element) -> dict[str, Any]:
    """The map that <opencv_storage> is."""
    value = _of_element(root)
    return value if isinstance(value, dict) else {}


def _of_element(element: ElementTree.Element) -> Any:
    children = list(element)
    if not children:
        words = re.findall(r'"([^"]*)"', element.text or "") if '"' in (element.text or "") else []
        texts = words or (element.text or "").split()
        return texts[0] if len(texts) == 1 else texts
    if all(child.tag == "_" for child in children):
        return [_of_element(child) for child in children]
    return {child.tag: _of_element(child) for child in children}


def is_matrix(value: Any) -> bool:
    """Whether a value is numbers: a matrix of OpenCV's, a list of numbers or of rows of them."""
    return (isinstance(value, dict) and "data" in value) or (isinstance(value, list) and bool(value))


def matrix_of(value: Any) -> Array:
    """The numbers of an OpenCV matrix (rows, cols), or of a list. Raises ValueError."""
    if isinstance(value, dict):
        if not {"rows", "cols", "data"} <= set(value):
            raise ValueError(f"a matrix has rows, cols and data, not {', '.join(map(str, value))}")
        rows, cols = int(value["rows"]), int(value["cols"])
        data = _numbers(value["data"])
        if data.size != rows * cols:
            raise ValueError(f"a matrix of {rows}x{cols} has {rows * cols} numbers, not {data.size}")
        return data.reshape(rows, cols)
    return _numbers(value)


def number_of(value: Any) -> float:
    """One number. Raises ValueError."""
    return float(_numbers([value])[0])


def _numbers(value: Any) -> Array:
    texts = np.asarray(value if isinstance(value, list) else [value], dtype=object)
    plain = [NUMBERS.get(str(text).lower(), text) for text in texts.reshape(-1)]
    return np.array([float(text) for text in plain], dtype=np.float64).reshape(texts.shape)


def matrix_text(values: npt.ArrayLike, indent: str = "") -> str:
    """A matrix as YAML that OpenCV reads back to the last digit; what follows the key and its colon."""
    matrix = np.atleast_2d(np.asarray(values, dtype=np.float64))
    inner = f"\n{indent}   "
    rows, cols = matrix.shape
    data = ", ".join(number_text(value) for value in matrix.reshape(-1))
    return f"!!opencv-matrix{inner}rows: {rows}{inner}cols: {cols}{inner}dt: d{inner}data: [ {data} ]"


def number_text(value: float) -> str:
    """All digits of a number, with a point in it: YAML takes 1e-05 for a text."""
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def quoted(text: str) -> str:
    """A text as OpenCV and YAML both read it."""
    return json.dumps(text, ensure_ascii=False)
