"""Stored values of one frame -> what a radiologist would see: grey in 0..1, bright = dense.

Modality LUT or rescale, then VOI LUT or window (PS3.3, C.11.1 and C.11.2), each from the frame's
own functional groups where an enhanced multi-frame object has them. Values of the header that make
no sense (no number, a slope of 0, a negative width) are left out and said so, never trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.imaging.decode import DecodedImage, DecodeWarning, ImageRejected
from models.imaging.dicom_file import ImageObject
from models.imaging.dicom_header import text

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Stored value -> output: `values[0]` is for `first` and below (PS3.3, C.11.1.1.1)."""

    first: int
    bits: int
    values: npt.NDArray[np.uint16]

    def __call__(self, stored: _Floats) -> _Floats:
        """float32 of the same shape, in the table's own units."""
        index = np.clip(np.rint(stored) - self.first, 0, len(self.values) - 1)
        found: _Floats = self.values.astype(np.float32)[index.astype(np.intp)]
        return found


def grey(
    image: ImageObject, stored: npt.NDArray[np.generic], frame: int, found: list[DecodeWarning]
) -> _Floats:
    """float32 [rows, columns] in 0..1 of a monochrome frame; raises ImageRejected.

    What was assumed or left out is added to `found`.
    """
    scopes = tuple(_scopes(image.dataset, frame))
    rescaled = _rescaled(stored.astype(np.float32), scopes, found)
    padding = _padding_mask(stored, image.dataset)
    shown = _voi(rescaled, scopes, found) if "header_ignored" not in found else None
    if shown is None:
        found.append("no_voi_window")
        shown = _full_range(rescaled, padding)
    if image.photometric == "MONOCHROME1":
        shown = np.float32(1.0) - shown
    if padding is not None:
        found.append("padding_removed")
        shown[padding] = 0.0
    return shown


def hounsfield(
    image: ImageObject, stored: npt.NDArray[np.generic], frame: int
) -> npt.NDArray[np.int16] | None:
    """A CT frame in HU, int16 [rows, columns]; None where the header does not say how.

    HU need a rescale slope and intercept, and no RescaleType but HU (PS3.3, C.8.2.1.1.2). Padding
    becomes the lowest number.
    """
    scopes = tuple(_scopes(image.dataset, frame))
    scope = _scope_with(scopes, "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
    if scope is None or "ModalityLUTSequence" in scope:
        return None
    slope, intercept = _number(scope, "RescaleSlope"), _number(scope, "RescaleIntercept")
    if not slope or intercept is None or (text(scope, "RescaleType") or "HU") != "HU":
        return None
    ends = np.iinfo(np.int16)
    with np.errstate(over="ignore"):  # a slope that leads beyond any picture was refused before
        values = np.rint(stored.astype(np.float32) * np.float32(slope) + np.float32(intercept))
    units: npt.NDArray[np.int16] = np.clip(values, ends.min, ends.max).astype(np.int16)
    padding = _padding_mask(stored, image.dataset)
    if padding is not None:
        units[padding] = ends.min
    return units


def hounsfield_window(image: DecodedImage, center: float, width: float) -> _Floats | None:
    """float32 [H, W] in 0..1 of a CT in a fixed window, whatever window its file asks for.

    center, width in HU; a line from center - width / 2 to center + width / 2, as patches of CT are
    drawn for training (LINEAR_EXACT of PS3.3, C.11.2.1.3.2). None where the HU are not known.
    """
    if width <= 0:
        raise ValueError("a window has a width")
    if image.hounsfield is None:
        return None
    return window(image.hounsfield.astype(np.float32), center, width, "LINEAR_EXACT")


def lookup_table(dataset: Dataset, keyword: str) -> LookupTable | None:
    """The first table of a sequence; None without one, and ValueError for a table that lies."""
    items = dataset.get(keyword)
    if not items:
        return None
    item = items[0]
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    entries = entries or 65_536
    raw = item.LUTData
    if isinstance(raw, bytes):
        little = dataset.is_little_endian if hasattr(dataset, "is_little_endian") else True
        width = "u1" if len(raw) in (entries, entries + 1) else "<u2" if little else ">u2"
        values = np.frombuffer(raw, width, count=entries).astype(np.uint16)
    else:
        values = np.atleast_1d(np.asarray(raw, dtype=np.int64)).astype(np.uint16)
    if len(values) != entries or not 1 <= entries <= 65_536 or not 8 <= bits <= 16:
        raise ValueError("the table is not as long as it says")
    return LookupTable(first, bits, values)


def _scopes(dataset: Dataset, frame: int) -> Iterator[Dataset]:
    """Where to look for a frame's values: its own functional groups, the shared ones, the top."""
    for sequence, index in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        groups = dataset.get(sequence)
        if not groups or index >= len(groups):
            continue
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            items = groups[index].get(macro)
            if items:
                yield items[0]
    yield dataset


def _scope_with(scopes: tuple[Dataset, ...], *keywords: str) -> Dataset | None:
    return next((scope for scope in scopes if any(word in scope for word in keywords)), None)


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, None for anything else."""
    try:
        value = dataset.get(keyword)
        first = value if isinstance(value, (int, float, str)) or value is None else value[0]
        number = float(first) if first is not None else math.nan
    except Exception:  # pydicom raises many types when it first looks at a value
        return None
    return number if math.isfinite(number) else None


def _rescaled(stored: _Floats, scopes: tuple[Dataset, ...], found: list[DecodeWarning]) -> _Floats:
    scope = _scope_with(scopes, "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
    if scope is None:
        return stored
    table = lookup_table(scope, "ModalityLUTSequence")
    if table is not None:
        return table(stored)
    slope = _number(scope, "RescaleSlope") if "RescaleSlope" in scope else 1.0
    intercept = _number(scope, "RescaleIntercept") if "RescaleIntercept" in scope else 0.0
    if not slope or intercept is None:
        found.append("header_ignored")
        return stored
    with np.errstate(over="ignore"):
        values: _Floats = stored * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(values).all():
        raise ImageRejected("truncated", "the rescaled values are beyond any picture")
    return values


def _voi(
    values: _Floats, scopes: tuple[Dataset, ...], found: list[DecodeWarning]
) -> _Floats | None:
    """0..1 by the first VOI LUT or the first window; None where there is none to use."""
    scope = _scope_with(scopes, "VOILUTSequence", "WindowCenter")
    if scope is None:
        return None
    table = lookup_table(scope, "VOILUTSequence")
    if table is not None:
        # By the table's own largest value: the stated depth is often wrong.
        top = np.float32(max(1, int(table.values.max())))
        by_table: _Floats = table(values) / top
        return by_table
    center, width = _number(scope, "WindowCenter"), _number(scope, "WindowWidth")
    function = text(scope, "VOILUTFunction") or "LINEAR"
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        found.append("header_ignored")
        return None
    return window(values, center, width, function)


def window(values: _Floats, center: float, width: float, function: str = "LINEAR") -> _Floats:
    """Values in 0..1 by the formulas of PS3.3, C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        exponent = np.clip(-4.0 * (values - center) / width, -80.0, 80.0)
        shown = 1.0 / (1.0 + np.exp(exponent))
    elif function == "LINEAR_EXACT":
        shown = (values - center) / width + 0.5
    else:
        shown = (values - (center - 0.5)) / max(width - 1.0, 1e-6) + 0.5
    clipped: _Floats = np.clip(shown, 0.0, 1.0).astype(np.float32)
    return clipped


def _padding_mask(
    stored: npt.NDArray[np.generic], dataset: Dataset
) -> npt.NDArray[np.bool_] | None:
    """PS3.3, C.7.5.1.1.2: from PixelPaddingValue to PixelPaddingRangeLimit."""
    padding = dataset.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # The value may be written unsigned for signed pixels, and the other way round.
    ends = [np.array(end).astype(stored.dtype) for end in (padding, limit) if isinstance(end, int)]
    mask = np.asarray((stored >= min(ends)) & (stored <= max(ends)))
    # All pixels padding would be a broken header, not an empty picture.
    return mask if mask.any() and not mask.all() else None


def _full_range(values: _Floats, padding: npt.NDArray[np.bool_] | None) -> _Floats:
    seen = values if padding is None else values[~padding]
    low, high = float(seen.min()), float(seen.max())
    if high <= low:
        return np.zeros_like(values)
    shown: _Floats = np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return shown
