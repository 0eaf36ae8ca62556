"""What scaling costs, as JSON: what was written is read back the same, and nothing else is read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np

from .records import Scaling

#: The fields with one entry for each K.
COLUMNS = ("classes", "enumerated", "total", "per_parameter", "sampled")


def scaling_to_json(record: Scaling) -> str:
    """The whole record; what was not measured, NaN, becomes null, which JSON has."""
    written = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    written |= {name: _to_list(written[name]) for name in COLUMNS}
    written["variances"] = {name: _to_list(each) for name, each in record.variances.items()}
    return json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False)


def scaling_from_json(text: str) -> Scaling:
    """The inverse of :func:`scaling_to_json`.

    Raises:
        ValueError: if it is no JSON, a field is missing or unknown, or a column is not of numbers,
            one for each K; the message names it.
    """
    try:
        written = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"a record is no JSON: {error}; write it anew") from error
    needed = {field.name for field in dataclasses.fields(Scaling)}
    given = set(written) if isinstance(written, dict) else set()
    if given != needed:
        raise ValueError(
            f"a Scaling has the fields {', '.join(sorted(needed))}; missing or unknown: "
            f"{', '.join(sorted(given ^ needed))}"
        )
    variances = written["variances"]
    if not isinstance(variances, dict):
        raise ValueError(f"variances of a Scaling are {variances!r:.60}, expected columns by name")
    count = len(written["classes"]) if isinstance(written["classes"], list) else 0
    columns = {name: _column(name, written[name], count) for name in COLUMNS}
    columns["classes"] = columns["classes"].astype(np.int64)
    return Scaling(
        **written
        | columns
        | {"variances": {name: _column(name, each, count) for name, each in variances.items()}}
    )


def _to_list(column: np.ndarray) -> list[Any]:
    return [None if math.isnan(value) else value for value in column.tolist()]


def _column(name: str, values: Any, count: int) -> np.ndarray:
    fits = isinstance(values, list) and 0 < len(values) == count
    if not fits or not all(value is None or type(value) in (int, float) for value in values):
        raise ValueError(
            f"{name} of a Scaling is {values!r:.60}, expected one number (or null, but for "
            "classes) for each K"
        )
    if name == "classes" and None in values:
        raise ValueError("classes of a Scaling has null in it, expected a number of labels K")
    return np.array(values, np.float64)
