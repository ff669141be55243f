"""One way to read the content files: safe YAML, UTF-8, errors that name the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


Read = TypeVar("Read")


class ContentError(ValueError):
    """A content file is malformed; the message names the file and the entry."""


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping in a YAML file; raises ContentError if it is anything else."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ContentError(f"{path.name}: {error}") from error
    if not isinstance(data, dict):
        raise ContentError(f"{path.name}: expected a mapping at the top")
    return data


def attempt(problems: list[str], what: str, reader: Callable[[], Read]) -> Read | None:
    """What `reader` reads; None where it cannot, and why among the problems of `what`."""
    try:
        return reader()
    # pydantic's ValidationError is a ValueError.
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{what}: {error}")
        return None
