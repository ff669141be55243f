"""Findings and values of a case as results show them: one form for triage and acuity."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge_base.lexicon.findings import Lexicon
from models.triage.case import Case
from models.triage.result import FindingResult, ValueResult


def finding_results(case: Case, terms: Lexicon) -> Iterator[FindingResult]:
    """Every finding with the words that it came from; `message` counts the case's readings."""
    for number, reading in enumerate(case.readings):
        for finding in reading.findings:
            concept = terms[finding.code]
            yield FindingResult(
                code=finding.code,
                hpo=concept.hpo,
                kind=concept.kind,
                name={"zh": concept.zh, "en": concept.en},
                status=finding.status,
                experiencer=finding.experiencer,
                temporality=finding.temporality,
                severity=None if finding.severity is None else finding.severity.name,
                duration_hours=finding.duration_hours,
                site=finding.site,
                side=finding.side,
                onset=finding.onset,
                course=finding.course,
                message=number,
                start=finding.start,
                end=finding.end,
                text=finding.text,
            )


def value_results(case: Case) -> Iterator[ValueResult]:
    """The values in use, and whether they were stated in words or measured."""
    measured = case.request.vitals.numbers()
    for name, value in sorted(case.facts.values.items()):
        yield ValueResult(
            name=name, value=value, origin="measured" if measured.get(name) == value else "stated"
        )
