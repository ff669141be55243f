"""Whose a finding is: what counts for the patient of what was said of several people.

A relative's complaint is always the patient's: people ask for their mothers and children. His
diseases are too, unless the speaker alone is ill. Where both are ill, there are two ways to
read the words, and whoever builds the case tries both. It decides nothing about urgency.
"""

from __future__ import annotations

from collections.abc import Iterable

from knowledge_base.lexicon.findings import COMPLAINTS, HISTORY, Lexicon
from models.text.findings import Finding, Reading


class Experiencers:
    """Who is ill in the messages of one request."""

    def __init__(self, readings: Iterable[Reading], terms: Lexicon) -> None:
        said = (f for r in readings for f in r.findings)
        now = [f for f in said if f.status == "present" and f.temporality == "now"]
        self._terms = terms
        self._speaker = any(f.experiencer == "self" for f in now)
        relatives = [f for f in now if f.experiencer == "relative"]
        self.both = self._speaker and any(terms[f.code].kind in COMPLAINTS for f in relatives)
        """Whether a relative is ill beside the speaker."""

    def counts(self, finding: Finding, *, shared: bool) -> bool:
        """Whether it is something that the patient has now, or denies.

        `shared`: a relative's diseases count although the speaker is ill.
        """
        if finding.temporality == "past":
            return False
        disease = self._terms[finding.code].kind in HISTORY
        if finding.experiencer == "family":
            return not disease
        return not (disease and self._of_another(finding, shared))

    def is_history(self, finding: Finding, *, shared: bool) -> bool:
        """Whether it belongs to the patient's history; `shared` as above."""
        if finding.status != "present" or finding.experiencer == "family":
            return False
        if self._of_another(finding, shared):
            return False
        return finding.temporality == "past" or self._terms[finding.code].kind in HISTORY

    def _of_another(self, finding: Finding, shared: bool) -> bool:
        return finding.experiencer == "relative" and self._speaker and not shared
