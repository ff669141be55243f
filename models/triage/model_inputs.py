"""What each model reads of a case; the rules read all of it."""

from __future__ import annotations

from knowledge_base.lexicon.findings import Lexicon
from models.tasks.department import DepartmentRequest
from models.triage.case import Case, tells

_SHORT_TEXT = 40
"""Characters up to which a Chinese text is helped by the names of its findings."""


def department_request(case: Case, terms: Lexicon) -> DepartmentRequest:
    """What the department model reads: the words and, where they help, the findings' names.

    English is understood through the Chinese names alone, and a few Chinese words gain by
    them; a long Chinese text says more by itself, and names added to it cost accuracy.
    """
    text = " ".join(case.request.texts)
    named = case.language == "en" or len(text) <= _SHORT_TEXT
    return DepartmentRequest(text, tuple(terms[c].zh for c in case.present) if named else ())


def unasked_words(case: Case) -> str:
    """What the patient said unasked, for the learned urgency: it has not learned from answers to
    questions. Where the request does not tell which messages those are, the opening, up to the
    first message that says what is the matter. The rules read all."""
    if case.request.unasked:
        return "\n".join(case.request.unasked)
    opening = []
    for reading, text in zip(case.readings, case.request.texts, strict=True):
        opening.append(text)
        if tells(reading):
            break
    return "\n".join(opening)
