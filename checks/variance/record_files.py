"""Records as JSON: what was written is read back the same, and nothing else is read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np

from .records import BaselineVariance, Stage, Training

#: The fields of a training run that are arrays, and of what type.
ARRAYS = {"steps": np.int64, "seconds": np.float64, "loss": np.float64, "accuracy": np.float64}

#: The fields of a stage that are rows.
ROWS = ("rows", "analytic")


def training_to_json(record: Training) -> str:
    """The whole record; a share that is NaN becomes null, which JSON has."""
    written = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    written |= {name: getattr(record, name).tolist() for name in ARRAYS}
    written["stages"] = [_stage_to_record(stage) for stage in record.stages]
    return json.dumps(written, indent=2, ensure_ascii=False, allow_nan=False)


def training_from_json(text: str) -> Training:
    """The inverse of :func:`training_to_json`.

    Raises:
        ValueError: if it is no JSON, a field is missing, unknown or of another type, or the columns
            are not of one length; the message names it.
    """
    written = _fields(Training, _parsed(text))
    columns = {name: np.array(written[name], kind) for name, kind in ARRAYS.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of a training record have lengths {lengths}, expected one")
    stages = tuple(_stage_from_record(each) for each in written["stages"])
    return Training(**written | columns | {"stages": stages})


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"a record is no JSON: {error}; write it anew") from error


def _fields(kind: type, written: Any) -> dict[str, Any]:
    """The fields of one record, if they are those of its class."""
    types = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    given = set(written) if isinstance(written, dict) else set()
    if given != set(types):
        raise ValueError(
            f"a {kind.__name__} has the fields {', '.join(types)}; missing or unknown: "
            f"{', '.join(sorted(given ^ set(types)))}"
        )
    for name, needed in types.items():
        if not _fits(written[name], needed):
            raise ValueError(
                f"{name} of a {kind.__name__} is {written[name]!r:.60}, expected {needed}"
            )
    return dict(written)


def _fits(value: Any, needed: str) -> bool:
    if needed == "str":
        return isinstance(value, str)
    if needed == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if needed in ("float", "float | None"):
        return value is None or _is_number(value)
    if needed.startswith("Mapping"):
        return isinstance(value, dict) and all(map(_is_number, value.values()))
    if needed == "np.ndarray":
        return isinstance(value, list) and all(map(_is_number, value))
    return isinstance(value, list)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stage_to_record(stage: Stage) -> dict[str, Any]:
    written = {field.name: getattr(stage, field.name) for field in dataclasses.fields(stage)}
    return written | {name: [_captured_to_record(row) for row in written[name]] for name in ROWS}


def _captured_to_record(row: BaselineVariance) -> dict[str, Any]:
    return dataclasses.asdict(row) | {"share": None if math.isnan(row.share) else row.share}


def _stage_from_record(written: Any) -> Stage:
    fields = _fields(Stage, written)
    rows = {name: tuple(_captured_from_record(row) for row in fields[name]) for name in ROWS}
    return Stage(**fields | rows)


def _captured_from_record(written: Any) -> BaselineVariance:
    fields = _fields(BaselineVariance, written)
    share = float("nan") if fields["share"] is None else float(fields["share"])
    return BaselineVariance(**fields | {"share": share})
