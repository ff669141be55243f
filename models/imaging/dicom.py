"""DICOM files -> grey pixels as a radiologist would see them, and the header's few facts we need.

Modality LUT (rescale), VOI LUT or window, MONOCHROME1 turned round, padding blanked, the first of
several frames. Called by `models.imaging.decode`, which has checked the size in bytes. Nothing that
identifies a patient is read out.
"""

from __future__ import annotations

import io
import logging
import warnings
from datetime import date

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from models.imaging.decode import (
    DecodedImage,
    DecodeLimits,
    DecodeWarning,
    DicomMetadata,
    ImageRejected,
    check_pixels,
    colour_spread,
)

# pydicom repeats values that look wrong (a name, an address) in warnings and its log: patient text
# must reach neither.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="pydicom")

_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.25}


def decode_dicom(data: bytes, limits: DecodeLimits) -> DecodedImage:
    """See `models.imaging.decode.decode`."""
    try:
        return _decode(data, limits)
    except ImageRejected:
        raise
    except Exception as error:
        # pydicom parses elements when they are looked at and raises many types on hostile input.
        raise ImageRejected("truncated", "the DICOM file is damaged or cut off") from error


def _decode(data: bytes, limits: DecodeLimits) -> DecodedImage:
    dataset = _read(data)
    if "PixelData" not in dataset:
        raise ImageRejected("no_pixel_data", "the DICOM object holds no image")
    frames = _integer(dataset, "NumberOfFrames", 1)
    samples = _integer(dataset, "SamplesPerPixel", 1)
    rows, columns = _integer(dataset, "Rows", 0), _integer(dataset, "Columns", 0)
    check_pixels(columns, rows, frames, limits)
    found: list[DecodeWarning] = []
    if frames > 1:
        found.append("first_frame_used")
    stored = _first_frame(data, dataset)
    rgb: npt.NDArray[np.uint8] | None = None
    if samples == 3:
        channels = stored.astype(np.float32)
        if stored.dtype != np.uint8:
            channels *= np.float32(255.0) / max(1.0, float(channels.max()))
        rgb = np.clip(channels, 0, 255).astype(np.uint8)
        values = channels @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    else:
        values = _windowed(stored, dataset, found)
    padding = _padding_mask(stored, dataset) if samples == 1 else None
    if padding is not None:
        found.append("padding_removed")
    pixels = _unit_range(values, padding)
    if str(dataset.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        pixels = np.float32(1.0) - pixels
    if padding is not None:
        pixels[padding] = 0.0
    colour = 0.0 if rgb is None else colour_spread(rgb)
    return DecodedImage(pixels, "dicom", _metadata(dataset), colour, tuple(found), rgb)


def _read(data: bytes) -> Dataset:
    # A deflated data set is inflated while it is read, whatever its size becomes.
    if DeflatedExplicitVRLittleEndian.encode() in data[132:4096]:
        raise ImageRejected("unsupported_format", "deflated DICOM is not read")
    return pydicom.dcmread(io.BytesIO(data))


def _first_frame(data: bytes, dataset: Dataset) -> npt.NDArray[np.generic]:
    try:
        frame: npt.NDArray[np.generic] = pixel_array(io.BytesIO(data), index=0)
    except (NotImplementedError, RuntimeError) as error:
        uid = dataset.file_meta.get("TransferSyntaxUID")
        # The name of an unknown UID is text of the file's own: never repeated.
        name = uid.name if isinstance(uid, UID) and uid.is_transfer_syntax else "unknown"
        raise ImageRejected("unsupported_format", f"transfer syntax {name} is not read") from error
    return frame


def _windowed(
    stored: npt.NDArray[np.generic], dataset: Dataset, found: list[DecodeWarning]
) -> npt.NDArray[np.float32]:
    """Rescale slope and intercept, then the first VOI LUT or window where there is one."""
    values = apply_modality_lut(stored, dataset)
    if "WindowCenter" in dataset or "VOILUTSequence" in dataset:
        values = apply_voi_lut(values, dataset, index=0)
    else:
        found.append("no_voi_window")
    return np.asarray(values, dtype=np.float32)


def _padding_mask(
    stored: npt.NDArray[np.generic], dataset: Dataset
) -> npt.NDArray[np.bool_] | None:
    padding = dataset.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return None
    mask = np.asarray(stored == padding)
    # All pixels padding would be a broken header, not an empty picture.
    return mask if mask.any() and not mask.all() else None


def _unit_range(
    values: npt.NDArray[np.float32], padding: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float32]:
    finite = np.nan_to_num(values)
    seen = finite if padding is None else finite[~padding]
    low, high = float(seen.min()), float(seen.max())
    if not np.isfinite(high - low):
        raise ImageRejected("truncated", "the rescaled values are beyond any picture")
    if high <= low:
        return np.zeros_like(finite, dtype=np.float32)
    scaled: npt.NDArray[np.float32] = np.clip((finite - low) / (high - low), 0.0, 1.0)
    return scaled.astype(np.float32)


# Defined terms of DICOM PS3.3 and PS3.16 (CID 29, CID 4, CID 4010), those that occur here.
_SEXES = frozenset({"F", "M", "O"})
_MODALITIES = frozenset(
    """
    CR CT DX ES GM IO MG MR NM OCT OP OT PT PX RF RG SC SM US XA XC
    """.split()  # noqa: SIM905
)
_BODY_PARTS = frozenset(
    """
    ABDOMEN ANKLE ARM BREAST CHEST CLAVICLE CSPINE ELBOW EXTREMITY EYE FEMUR FINGER FOOT HAND
    HEAD HEART HIP HUMERUS JAW KNEE LEG LSPINE LUNG NECK PELVIS RIBS SHOULDER SKIN SKULL SPINE
    STERNUM TSPINE THORAX WHOLEBODY WRIST
    """.split()  # noqa: SIM905
)
_VIEWS = frozenset(
    """
    AP PA LL RL LLO RLO LPO RPO LAO RAO LLD RLD
    """.split()  # noqa: SIM905
)
_OLDEST_YEARS = 125.0


def _metadata(dataset: Dataset) -> DicomMetadata:
    burned = _text(dataset, "BurnedInAnnotation")
    return DicomMetadata(
        age_years=_age(dataset),
        sex=_known(dataset, "PatientSex", _SEXES),
        modality=_known(dataset, "Modality", _MODALITIES),
        body_part=_known(dataset, "BodyPartExamined", _BODY_PARTS),
        view_position=_known(dataset, "ViewPosition", _VIEWS),
        burned_in={"YES": True, "NO": False}.get(burned or ""),
    )


def _known(dataset: Dataset, keyword: str, codes: frozenset[str]) -> str | None:
    """A code of the standard; anything else is OTHER, for it may be somebody's name."""
    value = _text(dataset, keyword)
    return value if value is None or value in codes else "OTHER"


def _text(dataset: Dataset, keyword: str) -> str | None:
    value = dataset.get(keyword)
    return str(value).strip().upper() or None if value is not None else None


def _integer(dataset: Dataset, keyword: str, default: int) -> int:
    value = dataset.get(keyword)
    try:
        return int(value) if value is not None else default
    except (TypeError, ValueError) as error:
        raise ImageRejected("truncated", f"{keyword} is not a number") from error


def _age(dataset: Dataset) -> float | None:
    """PatientAge (nnnD, nnnW, nnnM, nnnY), else study date less birth date; None when absurd."""
    stated = _text(dataset, "PatientAge")
    if stated and stated[:-1].isdigit() and stated[-1] in _UNITS_PER_YEAR:
        years = round(int(stated[:-1]) / _UNITS_PER_YEAR[stated[-1]], 2)
        return years if years <= _OLDEST_YEARS else None
    born, taken = _day(dataset, "PatientBirthDate"), _day(dataset, "StudyDate")
    if born is None or taken is None or taken < born:
        return None
    return round((taken - born).days / 365.25, 2)


def _day(dataset: Dataset, keyword: str) -> date | None:
    text = _text(dataset, keyword)
    try:
        return date.fromisoformat(text) if text and len(text) == 8 else None
    except ValueError:
        return None
