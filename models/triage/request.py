"""What a triage request may say. Validated once, at the border; limits of length are settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowledge_base.language import Language
from knowledge_base.rules.facts import Consciousness, Sex, Status
from models.text.normalise import visible
from models.text.values import PLAUSIBLE


def _measured(name: str, what: str) -> object:
    low, high = PLAUSIBLE[name]
    return Field(default=None, ge=low, le=high, description=what)


class Vitals(BaseModel):
    """Measured vital signs; what was not measured is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heart_rate: float | None = _measured("heart_rate", "per minute")  # type: ignore[assignment]
    respiratory_rate: float | None = _measured(  # type: ignore[assignment]
        "respiratory_rate", "per minute"
    )
    systolic_bp: float | None = _measured("systolic_bp", "mmHg")  # type: ignore[assignment]
    diastolic_bp: float | None = _measured("diastolic_bp", "mmHg")  # type: ignore[assignment]
    temperature_c: float | None = _measured("temperature_c", "°C")  # type: ignore[assignment]
    spo2: float | None = _measured("spo2", "%")  # type: ignore[assignment]
    glucose_mmol_l: float | None = _measured("glucose_mmol_l", "mmol/L")  # type: ignore[assignment]
    pain_score: float | None = _measured("pain_score", "0-10")  # type: ignore[assignment]
    consciousness: Consciousness | None = Field(default=None, description="ACVPU")

    @model_validator(mode="after")
    def _pressures(self) -> Vitals:
        high, low = self.systolic_bp, self.diastolic_bp
        if high is not None and low is not None and low >= high:
            raise ValueError("diastolic_bp must be lower than systolic_bp")
        return self

    def numbers(self) -> dict[str, float]:
        """The values that were given, by name."""
        values = self.model_dump(exclude={"consciousness"}, exclude_none=True)
        return {name: float(value) for name, value in values.items()}


class TriageRequest(BaseModel):
    """One patient's complaint: free text or the patient's messages in order, and what is known.

    `answers` are quick replies to questions of the interview, by finding code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    text: str | None = Field(default=None, description="The complaint in the patient's words.")
    messages: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="The patient's messages in order, instead of `text`."
    )
    unasked: tuple[str, ...] = Field(
        default=(),
        description="Those of the messages that answer no question, each once; by default the "
        "first ones, up to the complaint. The rules read all, the learned urgency these.",
    )
    language: Language | None = Field(
        default=None, description="Language of the answer; taken from the text by default."
    )
    age_years: float | None = Field(default=None, ge=0, le=125)
    sex: Sex | None = None
    pregnant: bool | None = None
    vitals: Vitals = Vitals()
    conditions: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=(), max_length=50, description="Known diseases, as codes or in words."
    )
    medicines: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=(), max_length=50, description="Current medicines, as codes or in words."
    )
    answers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,80}$")], Status] = Field(
        default_factory=dict, max_length=64
    )

    @model_validator(mode="after")
    def _something_said(self) -> TriageRequest:
        if not any(visible(text)[0].strip() for text in self.texts):
            raise ValueError("text or messages must say something")
        if self.text and self.messages:
            raise ValueError("give text or messages, not both")
        unasked = set(self.unasked)
        if len(unasked) < len(self.unasked) or not unasked <= set(self.messages):
            raise ValueError("unasked must repeat some of the messages, each once")
        return self

    @property
    def texts(self) -> tuple[str, ...]:
        """The patient's messages in order, whichever way they came."""
        return (self.text,) if self.text else self.messages
