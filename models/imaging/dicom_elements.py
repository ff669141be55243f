"""`dicom_elements.yaml` as the code uses it: which elements are read, and which may be kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.yaml_files import read_yaml


class Method(BaseModel):
    """One item of DeidentificationMethodCodeSequence, coding scheme DCM."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    meaning: str


class DicomElements(BaseModel):
    """The file; every name is a keyword of the DICOM dictionary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: dict[str, frozenset[str]]
    numbers: frozenset[str]
    sequences: frozenset[str]
    lookup_tables: frozenset[str]
    identifiers: frozenset[str]
    read_only: frozenset[str]
    emptied: tuple[str, ...]
    methods: tuple[Method, ...] = Field(min_length=1)


RULES = DicomElements.model_validate(read_yaml(Path(__file__).with_name("dicom_elements.yaml")))

ELEMENTS: frozenset[str] = (
    frozenset(RULES.terms)
    | RULES.numbers
    | RULES.sequences
    | RULES.lookup_tables
    | RULES.identifiers
    | RULES.read_only
)
