"""Reads a torch program's archive before torch does, and refuses what could run code.

`torch.export.load` unpickles weights, constants and sample inputs, evaluates the expressions of
shapes, looks operators up by any name below `torch`, and loads compiled libraries: a program from
a stranger is as good as his code. What `models.backends.torch_program` writes needs none of that.
So here everything that is not such a program is refused: raw weights only, no sample inputs, no
guards, operators of a list, expressions of sizes and integers. The sha256 was checked before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import ModelIntegrityError

if TYPE_CHECKING:
    from torch._C import PyTorchFileReader

TENSORS = "tensors.json"
"""The archive's extra file with the names of inputs and outputs."""
_GRAPH = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_RECORD = re.compile(
    r"data/(weights/weight|constants/tensor)_\d{1,6}|archive_format|archive_version|byteorder|"
    r"version|\.data/version|\.data/serialization_id|\.format_version|\.storage_alignment"
)
_MAX_JSON_BYTES = 50_000_000
_MAX_DEPTH = 60

OPERATORS = frozenset(
    (Path(__file__).parent / "torch_operators.txt").read_text(encoding="ascii").split()
)
"""The tensor operators (aten) that a program may hold: arithmetic, none that knows a file."""
_OPERATOR = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+")
_ON_SIZES = re.compile(r"_operator\.(add|sub|mul|floordiv|mod|neg|getitem|eq|ne|le|lt|ge|gt)")
_EXPRESSION = re.compile(
    r"(?:Symbol\('[su]\d{1,6}'(?:, (?:positive|integer|nonnegative)=True)*\)|Integer\(-?\d{1,18}\)"
    r"|(?:Add|Mul|Pow|Mod|Max|Min|FloorDiv|CleanDiv|PythonMod)\(|\)|, |-?\d{1,18}|[su]\d{1,6})+"
)
_ARGUMENT = re.compile(
    r"as_((sym_)?(bool|float|int)s?|expr|name|none|strings?|(optional_)?tensors?|"
    r"device|layout|memory_format|scalar_type)"
)
_CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Tensors(BaseModel):
    """Names of a program's inputs and outputs, in its order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: list[str]
    outputs: list[str]


def check_archive(path: Path) -> Tensors:
    """The program's tensor names; raises ModelIntegrityError for what could be more than data.

    Needs torch: the archive is read by the same reader that torch loads it with.
    """
    from torch._C import PyTorchFileReader

    try:
        reader = PyTorchFileReader(str(path))
        return _checked(reader, path.stat().st_size)
    except (RuntimeError, ValueError, KeyError, OSError, RecursionError) as error:
        # What torch says names its own source files; the kind of error is enough.
        raise ModelIntegrityError(f"{path.name} is damaged or no torch program") from error
    except _Refused as error:
        raise ModelIntegrityError(f"{path.name} is refused: {error}") from error


class _Refused(Exception):
    """The archive holds something that no program of ours needs."""


def _checked(reader: PyTorchFileReader, size: int) -> Tensors:
    names = reader.get_all_records()
    if len(set(names)) != len(names):
        raise _Refused("a record is there twice")
    for name in names:
        fine = name in (_GRAPH, _SAMPLES, f"extra/{TENSORS}", *_CONFIGS) or _RECORD.fullmatch(name)
        if not fine:
            raise _Refused(f"a record {name[:80]!r} has no place in it")
        if reader.get_record_size(name) > size:
            raise _Refused("a record is packed, which ours never are")
    if reader.get_record_size(_SAMPLES):
        raise _Refused("it brings sample inputs, which torch would unpickle")
    for name in _CONFIGS:
        _walk(_json(reader, name), 0)
    graph = _json(reader, _GRAPH)
    if not isinstance(graph, dict) or graph.get("guards_code"):
        raise _Refused("it brings guards, which torch would evaluate")
    _walk(graph, 0)
    try:
        return Tensors.model_validate_json(reader.get_record(f"extra/{TENSORS}"))
    except ValidationError as error:
        raise _Refused(f"{TENSORS} does not name its inputs and outputs") from error


def _json(reader: PyTorchFileReader, name: str) -> Json:
    if reader.get_record_size(name) > _MAX_JSON_BYTES:
        raise _Refused(f"{name} is too large")
    found: Json = json.loads(reader.get_record(name))
    return found


def _walk(value: Json, depth: int) -> None:
    """Every key that tells torch to look something up or to evaluate it has a harmless value."""
    if depth > _MAX_DEPTH:
        raise _Refused("it is nested too deeply")
    if isinstance(value, list):
        for item in value:
            _walk(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _entry(key, item)
            _walk(item, depth + 1)


def _entry(key: str, value: Json) -> None:
    if key == "target":
        _target(value)
    elif key == "expr_str":
        if not (isinstance(value, str) and _EXPRESSION.fullmatch(value)):
            raise _Refused(f"a size is {str(value)[:80]!r}")
    elif key in ("in_spec", "out_spec"):
        _spec(json.loads(str(value)), 0)
    elif key == "range_constraints":
        if not isinstance(value, dict) or not all(re.fullmatch(r"[su]\d+", k) for k in value):
            raise _Refused("a size has no plain name")
    elif key == "use_pickle":
        if value is not False:
            raise _Refused("a weight is pickled")
    elif key in ("metadata", "treespec_namedtuple_fields"):
        if value:
            raise _Refused(f"it brings {key}")
    elif key.startswith("as_") and not _ARGUMENT.fullmatch(key):
        raise _Refused(f"an argument is of the kind {key[:40]}")


def _target(value: Json) -> None:
    found = _OPERATOR.fullmatch(value) if isinstance(value, str) else None
    known = found is not None and found[1] in OPERATORS
    if not (known or (isinstance(value, str) and _ON_SIZES.fullmatch(value))):
        raise _Refused(f"the operator {str(value)[:80]!r} is not one of those it may hold")


def _spec(value: Json, depth: int) -> None:
    """A tree of plain tuples, lists and dicts: torch imports what any other name names."""
    if depth > _MAX_DEPTH:
        raise _Refused("it is nested too deeply")
    if isinstance(value, list):
        for item in value:
            _spec(item, depth + 1)
    elif isinstance(value, dict):
        kind, context = value.get("type"), value.get("context")
        if kind not in _CONTAINERS or context not in (None, "null", "[]"):
            raise _Refused("its outputs are no plain tensors")
        _spec(value.get("children_spec"), depth + 1)
