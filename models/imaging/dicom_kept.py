"""The elements of a DICOM header that may stay, each value written anew by `dicom_elements.yaml`.

Codes of the standard, plain numbers about the pixels, tables of greys; nothing is copied as bytes,
and what cannot be read is not kept.
"""

from __future__ import annotations

import math

from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset

from models.imaging.decode import ImageRejected
from models.imaging.dicom_display import lookup_table
from models.imaging.dicom_elements import RULES

# A decimal string that is a measure, not an identity number that somebody typed there.
_LARGEST_MEASURE = 1e7
_MOST_VALUES = 16


def keep(source: Dataset, new: Dataset) -> None:
    """What the rules allow of a data set or of an item, each value written anew."""
    for keyword in source.dir():
        try:
            if keyword in RULES.terms:
                _keep_terms(source, new, keyword)
            elif keyword in RULES.numbers:
                _keep_numbers(source, new, keyword)
            elif keyword in RULES.lookup_tables:
                _keep_table(source, new, keyword)
            elif keyword in RULES.sequences:
                _keep_items(source, new, keyword)
        except ImageRejected:
            raise
        except Exception:  # pydicom raises many types when it first looks at a value
            continue  # a value that cannot be read is not kept


def _keep_terms(source: Dataset, new: Dataset, keyword: str) -> None:
    values = [str(value).strip().upper() for value in _several(source[keyword].value)]
    kept = [value for value in values if value in RULES.terms[keyword]][:_MOST_VALUES]
    if kept:
        single = dictionary_VM(keyword) == "1"
        setattr(new, keyword, kept[0] if single else kept)


def _keep_numbers(source: Dataset, new: Dataset, keyword: str) -> None:
    values = _several(source[keyword].value)
    if not 1 <= len(values) <= _allowed(keyword):
        return
    vr = source[keyword].VR if dictionary_VR(keyword) == "US or SS" else dictionary_VR(keyword)
    if vr not in ("US", "SS", "UL", "SL", "IS", "DS"):
        return
    kept: list[int | str] = []
    for value in values:
        number = float(str(value))
        if not math.isfinite(number) or abs(number) > _LARGEST_MEASURE:
            return
        # A decimal string has at most 16 characters (PS3.5, 6.2).
        kept.append(f"{number:.9g}" if vr == "DS" else int(number))
    new.add_new(keyword, vr, kept[0] if len(kept) == 1 else kept)


def _keep_table(source: Dataset, new: Dataset, keyword: str) -> None:
    table = lookup_table(source, keyword)
    if table is None:
        return
    item = Dataset()
    first = "SS" if table.first < 0 else "US"
    item.add_new("LUTDescriptor", first, [len(table.values) % 65_536, table.first, table.bits])
    item.add_new("LUTData", "OW", table.values.astype("<u2").tobytes())
    setattr(new, keyword, [item])


def _keep_items(source: Dataset, new: Dataset, keyword: str) -> None:
    items = []
    for original in source[keyword].value:
        item = Dataset()
        keep(original, item)
        items.append(item)
    setattr(new, keyword, items)


def _several(value: object) -> list[object]:
    if value is None or value == "":
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _allowed(keyword: str) -> int:
    """How many values the dictionary allows, at most `_MOST_VALUES`."""
    most = dictionary_VM(keyword).split("-")[-1]
    return int(most) if most.isdecimal() else _MOST_VALUES
