"""Coded concepts of the exports, from concepts.yaml: SNOMED CT, DICOM, UCUM or our own scheme.

A code of our own is never dressed as a standard one: its scheme is `99FENZHEN` in DICOM (PS3.16,
8.2: private designators begin with 99) and `urn:fenzhen:codes` in FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from models.imaging.opinion import Abstention, OperatingPoint

FILE = Path(__file__).with_name("concepts.yaml")
MEANING_LIMIT = 64
"""Characters of a code meaning (PS3.5, value representation LO)."""
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
}


@dataclass(frozen=True)
class Concept:
    """A code of a scheme with its meaning in English."""

    scheme: str
    code: str
    meaning: str

    @property
    def system(self) -> str:
        """The scheme's URI in FHIR."""
        return _SYSTEMS.get(self.scheme) or concepts().scheme.system


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scheme(_Strict):
    """Our own coding scheme."""

    designator: str = Field(pattern=r"^99[A-Z]{1,14}$")
    name: str
    organization: str
    system: str


class StandardCode(_Strict):
    """A code of a standard that means exactly what a label means.

    `checked`: its meaning was looked up elsewhere; a code that was not is never exported.
    """

    checked: bool
    scheme: str
    code: str
    meaning: str = Field(max_length=MEANING_LIMIT)


class Concepts(_Strict):
    """The file."""

    scheme: Scheme
    private: dict[str, str]
    labels: dict[str, dict[str, StandardCode]]


@lru_cache(maxsize=1)
def concepts() -> Concepts:
    """The file's content; raises pydantic.ValidationError."""
    return Concepts.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))


def private(code: str) -> Concept:
    """A concept of our own scheme; raises KeyError for one that the file does not list."""
    return _own(code, concepts().private[code])


def question(code: str, name: str) -> Concept:
    """What a network was asked: a task, or `TASK.HEAD` for a further head."""
    return _own(code, name)


def label(question: str, code: str, name: str) -> Concept:
    """The concept of a label: the standard's where the file has one, else our own.

    `question` is the task, with `.HEAD` for a further head; `name` is the English name.
    """
    known = concepts().labels.get(question, {}).get(code)
    if known is not None and known.checked:
        return Concept(known.scheme, known.code, known.meaning)
    return _own(f"{question}:{code}", name)


def point(question: str, of: OperatingPoint) -> Concept:
    """The label, or the labels together, that an operating point is about."""
    return label(question, of.label, of.label if of.name is None else of.name["en"])


def quality(code: str, name: str) -> Concept:
    """An issue of a picture."""
    return _own(f"quality:{code}", name)


def abstention(code: Abstention) -> Concept:
    """Why no opinion was given."""
    return _own(f"abstained:{code}", code.replace("_", " ").capitalize())


def _own(code: str, meaning: str) -> Concept:
    clean = "".join(c if c.isprintable() and c != "\\" else " " for c in meaning).strip()
    return Concept(concepts().scheme.designator, code, clean[:MEANING_LIMIT].strip() or code)
