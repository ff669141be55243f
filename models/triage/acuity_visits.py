"""Acuity requests from the fields of public visit data: KTAS visits and cases in prose.

Training and evaluation read their files through this one mapping. Answer fields (`ktas_expert`,
`esi`, `why`) are never read here. A vital sign that no living person has is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowledge_base.rules.facts import Consciousness
from models.text.values import PLAUSIBLE
from models.triage.acuity_request import AcuityRequest, AcuityVitals, Arrival, Scale

TRUTH: dict[str, Scale] = {"ktas_expert": "ktas", "esi": "esi"}
"""The field that holds the expert's level, and its scale."""
_VITALS = {
    "hr": "heart_rate", "rr": "respiratory_rate", "sbp": "systolic_bp", "dbp": "diastolic_bp",
    "temp_c": "temperature_c", "spo2": "spo2", "nrs": "pain_score",
}  # fmt: skip
_AVPU: dict[str, Consciousness] = {
    "alert": "alert", "verbal": "voice", "pain": "pain", "unresponsive": "unresponsive",
}  # fmt: skip
# Codes of the KTAS visits (PLOS ONE 10.1371/journal.pone.0216972): 5-7 are other ways.
_ARRIVAL: dict[str, Arrival] = {
    "1": "walking", "2": "public_ambulance", "3": "private_vehicle", "4": "private_ambulance",
}  # fmt: skip


def visit_request(row: Mapping[str, object]) -> AcuityRequest:
    """The request of a row; raises ValueError where it has neither complaint nor text."""
    text = row.get("text", row.get("complaint"))
    if not isinstance(text, str):
        raise ValueError("'complaint' or 'text' must be text")
    age, sex, injury, pain = (row.get(key) for key in ("age", "sex", "injury", "pain"))
    years = float(age) if isinstance(age, int | float) and not isinstance(age, bool) else -1.0
    mode = row.get("arrival_mode")
    return AcuityRequest(
        text=text.strip() or _SILENT,
        age_years=years if 0 <= years <= _OLDEST else None,
        sex="female" if sex == "female" else "male" if sex == "male" else None,
        arrival=None if mode is None else _ARRIVAL.get(str(mode), "other"),
        injury=injury if isinstance(injury, bool) else None,
        pain=pain if isinstance(pain, bool) else None,
        vitals=_vitals(row),
    )


_SILENT = "?"
"""Stands for a complaint that was left empty: nothing was understood."""
_OLDEST = 125


def _vitals(row: Mapping[str, object]) -> AcuityVitals:
    kept: dict[str, float] = {}
    for field, name in _VITALS.items():
        value = row.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = PLAUSIBLE[name]
            if low <= value <= high:
                kept[name] = float(value)
    if kept.get("diastolic_bp", 0.0) >= kept.get("systolic_bp", float("inf")):
        del kept["diastolic_bp"]
    return AcuityVitals.model_validate({**kept, "consciousness": _AVPU.get(str(row.get("avpu")))})
