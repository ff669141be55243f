"""What a rule may know of a patient. Built by the triage task, read by the conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Literal

Status = Literal["present", "absent", "unknown"]
Sex = Literal["female", "male"]
Consciousness = Literal["alert", "confused", "voice", "pain", "unresponsive"]


class Severity(IntEnum):
    """Stated severity, ordered."""

    mild = 1
    moderate = 2
    severe = 3


@dataclass(frozen=True)
class Observation:
    """What is known of one finding in the patient, now.

    `duration_hours` is how long it has gone on; None where nothing was said.
    """

    status: Status
    severity: Severity | None = None
    duration_hours: float | None = None
    sudden: bool = False
    worsening: bool = False


@dataclass(frozen=True)
class Facts:
    """One patient at one moment. A finding that is not in `observations` was never mentioned.

    Values: heart_rate and respiratory_rate /min, systolic_bp and diastolic_bp mmHg,
    temperature_c, spo2 %, glucose_mmol_l, pain_score 0-10, gestation_weeks.
    """

    age_years: float | None = None
    sex: Sex | None = None
    pregnant: bool | None = None
    postpartum: bool | None = None
    consciousness: Consciousness | None = None
    observations: Mapping[str, Observation] = field(default_factory=dict)
    history: frozenset[str] = frozenset()
    values: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def known(self) -> frozenset[str]:
        """Codes of everything that was mentioned, now or in the history."""
        return self.history.union(self.observations)
