"""What is known of the patient beside the picture, as numbers for a network.

Everything may be unknown: then all numbers are zero, and the network was trained to do without.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SITES: tuple[str, ...] = (
    "abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand",
    "lower extremity", "neck", "scalp", "trunk", "upper extremity",
)  # fmt: skip
"""Where a lesion sits: the terms of the ISIC archive that HAM10000 uses."""
SEXES = ("female", "male")
WIDTH = 2 + len(SEXES) + len(SITES)


def encode_context(
    age_years: float | str | None, sex: str | None, site: str | None
) -> npt.NDArray[np.float32]:
    """[WIDTH]: whether the age is known, the age in centuries less a half, sex and site one-hot.

    Whatever is not one of `SEXES` or `SITES`, or no age of a person, counts as unknown.
    """
    out = np.zeros(WIDTH, dtype=np.float32)
    age = _number(age_years)
    if age is not None:
        out[0], out[1] = 1.0, age / 100.0 - 0.5
    if sex in SEXES:
        out[2 + SEXES.index(sex)] = 1.0
    if site in SITES:
        out[2 + len(SEXES) + SITES.index(site)] = 1.0
    return out


def _number(age_years: float | str | None) -> float | None:
    try:
        age = float(age_years) if age_years not in (None, "") else None
    except ValueError:
        return None
    return age if age is not None and 0 <= age <= 125 else None
