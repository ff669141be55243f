"""What an acuity request may say: a triage nurse's note, who the patient is, what was measured."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowledge_base.language import Language
from knowledge_base.rules.facts import Sex
from knowledge_base.rules.scores import Measurements
from models.text.normalise import visible
from models.triage.request import Vitals

Scale = Literal["esi", "ktas", "china"]
Arrival = Literal["walking", "public_ambulance", "private_vehicle", "private_ambulance", "other"]


class AcuityVitals(Vitals):
    """Vital signs with what the scores need besides."""

    on_oxygen: bool | None = Field(default=None, description="Given oxygen while SpO2 was read.")
    hypercapnic_failure: bool = Field(
        default=False, description="Hypercapnic respiratory failure is recorded: NEWS2 scale 2."
    )
    potassium_mmol_l: float | None = Field(default=None, ge=1, le=15, description="mmol/L")

    def numbers(self) -> dict[str, float]:
        """See `Vitals.numbers`; without potassium, which no triage rule reads."""
        values = self.model_dump(
            exclude={"consciousness", "on_oxygen", "hypercapnic_failure", "potassium_mmol_l"},
            exclude_none=True,
        )
        return {name: float(value) for name, value in values.items()}


class AcuityRequest(BaseModel):
    """One patient at the desk of an emergency department.

    `scale` is the setting's by default. `injury` and `arrival` stay away where unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    text: str = Field(default="", description="The complaint or the nurse's note.")
    language: Language | None = None
    scale: Scale | None = None
    age_years: float | None = Field(default=None, ge=0, le=125)
    sex: Sex | None = None
    pregnant: bool | None = None
    arrival: Arrival | None = None
    injury: bool | None = None
    pain: bool | None = Field(default=None, description="Whether there is pain at all.")
    vitals: AcuityVitals = AcuityVitals()

    @model_validator(mode="after")
    def _something_said(self) -> AcuityRequest:
        measured = self.vitals.numbers() or self.vitals.consciousness
        if not (visible(self.text)[0].strip() or measured):
            raise ValueError("text must say something, or vital signs must be given")
        return self

    def measurements(self, values: dict[str, float]) -> Measurements:
        """What was measured, with `values` that were read from the note as well."""
        vitals = self.vitals
        potassium = {} if vitals.potassium_mmol_l is None else {
            "potassium_mmol_l": vitals.potassium_mmol_l
        }  # fmt: skip
        return Measurements(
            age_years=self.age_years,
            pregnant=self.pregnant,
            consciousness=vitals.consciousness,
            on_oxygen=vitals.on_oxygen,
            hypercapnic_failure=vitals.hypercapnic_failure,
            values={**values, **potassium},
        )
