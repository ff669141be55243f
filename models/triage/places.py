"""A question that tells departments apart, once the urgency is settled.

The expected fall in the entropy of the department model's probabilities, by how often each
department's diseases have a finding. Only a question whose answer would change the first
department is worth asking. Never touches the probabilities that the patient gets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import log

from knowledge_base.interview.data import places
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.facts import Facts
from models.triage.expectations import concerns

_RARE = 0.02
"""The share of a finding in a department whose diseases are not known to have it."""
_LEAST = 0.05
"""Nats that a question must save on average."""


def telling_finding(
    departments: Mapping[str, float], facts: Facts, asked: Collection[str], terms: Lexicon
) -> str | None:
    """The finding that tells most between departments, or None where none would change the first.

    `departments` are probabilities by code; those that nothing is known of take no part.
    """
    known = places()
    prior = {code: p for code, p in departments.items() if code in known and p > 0}
    if len(prior) < 2:
        return None
    total = sum(prior.values())
    prior = {code: p / total for code, p in prior.items()}
    candidates = {code for department in prior for code in known[department]}
    best: tuple[float, str] | None = None
    for code in sorted(candidates):
        if code in asked or code in facts.observations or code not in questions():
            continue
        if code not in terms or terms[code].kind != "symptom" or not concerns(code, facts):
            continue
        saved = _saved(prior, {d: known[d].get(code, _RARE) for d in prior})
        if saved >= _LEAST and (best is None or saved > best[0]):
            best = (saved, code)
    return None if best is None else best[1]


def _saved(prior: Mapping[str, float], share: Mapping[str, float]) -> float:
    """Entropy saved on average; 0 where neither answer changes the first department."""
    yes = {d: p * share[d] for d, p in prior.items()}
    no = {d: p * (1 - share[d]) for d, p in prior.items()}
    first = max(prior, key=lambda d: prior[d])
    if max(yes, key=lambda d: yes[d]) == first and max(no, key=lambda d: no[d]) == first:
        return 0.0
    chance = sum(yes.values())
    return _entropy(prior) - chance * _entropy(yes) - (1 - chance) * _entropy(no)


def _entropy(weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    return -sum(w / total * log(w / total) for w in weights.values() if w > 0)
