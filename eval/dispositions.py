"""Rows with a true urgency, in the three formats that such files come in, as triage requests.

The truth is a tier or level name and the levels of our scale that agree with it; the crosswalk is
knowledge_base/rules/scale.yaml. Answer fields (labels, rationale) are never read into a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from eval.readers import Line
from knowledge_base.rules.facts import Sex
from knowledge_base.rules.scale import dispositions
from models.text.values import PLAUSIBLE
from models.triage.request import TriageRequest, Vitals

VIGNETTE, TIER = "vignette", "tier"
_URGENT = 3


@dataclass(frozen=True)
class UrgencyRow:
    """One case: what goes in, the truth by name, the levels that agree with it.

    `tiered` rows say how far to escalate (critical, urgent, routine); `dropped` names vital
    signs that no living person has, which the request leaves out.
    """

    row: str
    request: TriageRequest
    truth: str
    agreeing: frozenset[int]
    tiered: bool
    dropped: tuple[str, ...] = ()

    @property
    def emergency(self) -> bool:
        """The truth is an ambulance or the emergency department."""
        return max(self.agreeing) < _URGENT


def urgency_row(line: Line) -> UrgencyRow:
    """The case of a line; raises BenchmarkError where it is in none of the formats."""
    values = line.values
    if "input" in values and "labels" in values:
        return _vignette_with_vitals(line)
    if "case_description" in values:
        label = line.text("urgency_level").lower()
        return _row(line, (line.text("case_description"),), label, _levels(line, VIGNETTE, label))
    if "disposition" in values:
        level = values["disposition"]
        if not isinstance(level, int) or isinstance(level, bool) or level not in dispositions():
            raise line.fault("'disposition' must be 1 to 5")
        return _row(line, (line.text("text"),), str(level), frozenset({level}), tiered=True)
    raise line.fault(
        "expected 'input' with 'labels', 'case_description' with 'urgency_level', "
        "or 'text' with 'disposition'"
    )


def _levels(line: Line, scale: str, label: str) -> frozenset[int]:
    """The levels of ours that a label of another scale stands for."""
    levels = frozenset(d.level for d in dispositions().values() if d.crosswalk[scale] == label)
    if not levels:
        known = sorted({str(d.crosswalk[scale]) for d in dispositions().values()})
        raise line.fault(f"the {scale} label is none of {', '.join(known)}")
    return levels


def _vignette_with_vitals(line: Line) -> UrgencyRow:
    given, labels = _mapping(line, "input"), _mapping(line, "labels")
    nested = Line(line.file, line.number, given)
    texts = (nested.text("chief_complaint"), nested.text("history", optional=True))
    tier = Line(line.file, line.number, labels).text("gold_risk_tier").lower()
    people = _mapping(nested, "demographics", optional=True)
    vitals, dropped = _vitals(_mapping(nested, "vitals", optional=True))
    return _row(
        line,
        texts,
        tier,
        _levels(line, TIER, tier),
        tiered=True,
        age=people.get("age"),
        sex=people.get("sex"),
        vitals=vitals,
        dropped=dropped,
    )


def _mapping(line: Line, field: str, *, optional: bool = False) -> Mapping[str, object]:
    value = line.values.get(field)
    if optional and value is None:
        return {}
    if not isinstance(value, dict):
        raise line.fault(f"{field!r} must be an object")
    return value


def _row(
    line: Line,
    texts: tuple[str, ...],
    truth: str,
    agreeing: frozenset[int],
    *,
    tiered: bool = False,
    age: object = None,
    sex: object = None,
    vitals: Vitals | None = None,
    dropped: tuple[str, ...] = (),
) -> UrgencyRow:
    years = float(age) if isinstance(age, int | float) and not isinstance(age, bool) else None
    known: Sex | None = "female" if sex == "female" else "male" if sex == "male" else None
    try:
        request = TriageRequest(
            messages=tuple(t for t in texts if t),
            age_years=years,
            sex=known,
            vitals=vitals or Vitals(),
        )
    except ValidationError as error:
        # pydantic's message quotes the input: only the names of the fields go out.
        fields = sorted({str(part["loc"][0]) if part["loc"] else "text" for part in error.errors()})
        raise line.fault(f"not a valid request ({', '.join(fields)})") from None
    return UrgencyRow(line.id, request, truth, agreeing, tiered, dropped)


def _vitals(given: Mapping[str, object]) -> tuple[Vitals, tuple[str, ...]]:
    """Known vital signs; the implausible and the contradictory are dropped and named."""
    kept: dict[str, float] = {}
    dropped = []
    for name in sorted(PLAUSIBLE.keys() & Vitals.model_fields.keys() & given.keys()):
        value = given[name]
        if value is None:
            continue
        low, high = PLAUSIBLE[name]
        if isinstance(value, int | float) and low <= value <= high:
            kept[name] = float(value)
        else:
            dropped.append(name)
    if kept.get("diastolic_bp", 0.0) >= kept.get("systolic_bp", 1e9):
        dropped.append("diastolic_bp")
        del kept["diastolic_bp"]
    return Vitals.model_validate(kept), tuple(dropped)
