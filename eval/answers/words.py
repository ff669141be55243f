"""Features of `answers` that words and titles give: what of the question stands in the answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.answers.collection import Collection
from eval.answers.texts import AnswerText, AskedText, alike, aspect_lexicon
from knowledge_base.tokeniser import neighbours, tokenise

Matrix = NDArray[np.float64]

_FIRST = 60
_NEVER = 9.0
"""Logarithm of the place of a word that does not occur: later than any."""


def words(asked: AskedText, answer: AnswerText, collection: Collection) -> dict[str, float]:
    """Words of the question in the answer, the rare ones counting more."""
    tokens, held = answer.tokens, set(answer.tokens)
    total = collection.weight(asked.focus) or 1.0
    rarest = sorted(asked.focus, key=lambda t: (-collection.rarity(t), t))[:3]
    places = [i for i, token in enumerate(tokens) if token in rarest]
    pairs = set(neighbours(asked.text))
    missing = [token for token in asked.focus if token not in held]

    def share(tokens: set[str] | frozenset[str]) -> float:
        return collection.weight(t for t in asked.focus if t in tokens) / total

    return {
        "held": share(held),
        "held_title": share(set(tokenise(answer.title))),
        "held_head": share(answer.head_tokens),
        "held_first": share(set(tokens[:_FIRST])),
        "missing": collection.weight(missing),
        "rarest_missing": max(map(collection.rarity, missing), default=0.0),
        "rare_words": len(held.intersection(rarest)),
        "rare_words_head": len(answer.head_tokens.intersection(rarest)),
        "rarest_word": bool(rarest) and rarest[0] in held,
        "rarest_word_head": bool(rarest) and rarest[0] in answer.head_tokens,
        "first_place": math.log1p(places[0]) if places else _NEVER,
        "density": sum(t in asked.tokens for t in tokens) / max(1, len(tokens)),
        "rare_density": len(places) / max(1, len(tokens)),
        "pairs": len(pairs.intersection(neighbours(answer.text))) / max(1, len(pairs)),
        "pairs_title": len(pairs.intersection(neighbours(answer.title))),
    }


def head(asked: AskedText, answer: AnswerText, collection: Collection) -> dict[str, float]:
    """Is what the answer is about what the question speaks of, misspelt or by its initials?"""
    subject = set(tokenise(asked.subject))
    weights = {token: collection.rarity(token) for token in sorted(answer.head_tokens)}
    total = sum(weights.values()) or 1.0
    written = {token: alike(token, asked.tokens) for token in weights}
    matched = sum(weight * written[token] for token, weight in weights.items())
    short = answer.initials in asked.tokens
    return {
        "head_asked": sum(w for token, w in weights.items() if token in asked.tokens) / total,
        "head_in_subject": sum(w for token, w in weights.items() if token in subject) / total,
        "subject_in_head": collection.weight(t for t in sorted(subject) if t in weights)
        / (collection.weight(sorted(subject)) or 1.0),
        "head_written": max(float(short), matched / total),
        "head_matched": matched,
        "head_extra": 0.0 if short else sum(weights.values()) - matched,
        "head_complete": short or (bool(weights) and all(written.values())),
        "head_words": len(weights),
    }


def concepts(asked: AskedText, answer: AnswerText, collection: Collection) -> dict[str, float]:
    """Findings of the lexicon in both, and other names of what the question names."""
    codes = collection.findings(asked.text)
    other = collection.other_names(asked)
    title = collection.title_codes[answer.text]
    return {
        "findings": len(codes & collection.codes[answer.text]) / max(1, len(codes)),
        "findings_title": len(codes & title),
        "findings_title_extra": len(title - codes),
        "findings_asked": len(codes),
        "other_names": len(other.intersection(answer.tokens)) / max(1, len(other)),
        "other_names_title": len(other.intersection(tokenise(answer.title))),
    }


def form(asked: AskedText, answer: AnswerText, collection: Collection) -> dict[str, float]:
    return {
        "length": math.log1p(len(answer.text)),
        "sentences": math.log1p(len(collection.sentences[answer.text])),
        "title_words": len(set(tokenise(answer.title))),
        "title_asks": answer.is_question,
        "hollow": answer.is_hollow,
        "question_length": math.log1p(len(asked.tokens)),
        "question_short": len(asked.tokens) <= 6,
    }


def aspects(asked: AskedText, answers: Sequence[AnswerText], written: Matrix) -> dict[str, Matrix]:
    """Treatment asked, treatment told?"""
    names = aspect_lexicon().names
    overview = names.index("overview")
    told = np.stack([a.aspects for a in answers])
    whole = np.array([not a.part for a in answers])
    shared = (told & asked.aspects).sum(axis=1)
    body = np.stack([aspect_lexicon().in_text(a.body[:1500]) for a in answers])
    only_overview = bool(asked.aspects[overview]) and asked.aspects.sum() == 1
    found = {
        "aspect_shared": shared,
        "aspect_of_it": shared * written,
        "aspect_other": (shared == 0) & told.any(axis=1) & asked.aspects.any(),
        "aspects_asked": np.full(len(answers), asked.aspects.sum()),
        "aspects_told": told.sum(axis=1),
        "aspect_in_body": (body & asked.aspects).sum(axis=1) / max(1, asked.aspects.sum()),
        "about_all": whole,
        "about_all_nothing_asked": whole & (asked.aspects.sum() == int(asked.aspects[overview])),
        "overview_asked": np.full(len(answers), only_overview),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}
