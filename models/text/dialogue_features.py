"""Features of an item that a dialogue may speak of: the learned status reads these and no text.

Two groups of named yes-or-no features. What is said of the mentions (who named the item, whether
it was asked, denied, answered; which cue words of `dialogue_cues.yaml` stand near) weighs 1; the
bare characters around the mentions weigh less, for there are many. Names are hashed by crc32,
which is fixed for ever, into rows of the network's table; row 0 is padding.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.yaml_files import read_yaml
from models.text.dialogue import Candidate, ItemMention, Utterance, bare_answer, bounds
from models.text.normalise import normalise

CUES = Path(__file__).with_name("dialogue_cues.yaml")
BUCKETS = 1 << 17
CHARACTERS_WEIGH = 0.5
_CLAUSE = re.compile(r"[。!?;,\s]")
_SENTENCE = re.compile(r"[。!?;]")
_NEAR = 12
_REPLY = 20

Ids = NDArray[np.int64]
Weights = NDArray[np.float32]


@lru_cache(maxsize=1)
def _cues() -> dict[str, re.Pattern[str]]:
    raw = read_yaml(CUES)["cues"]
    assert isinstance(raw, dict)
    return {str(name): re.compile("|".join(map(re.escape, words))) for name, words in raw.items()}


@lru_cache(maxsize=1 << 14)
def _cues_in(text: str) -> tuple[str, ...]:
    return tuple(name for name, pattern in _cues().items() if pattern.search(text))


def features(candidate: Candidate) -> tuple[Ids, Weights]:
    """Ids int64 [L], distinct, in [1, BUCKETS), and weights float32 [L] of a candidate."""
    said = {_row(name) for name in _said(candidate)}
    characters = {_row(name) for name in _characters(candidate)} - said
    ids = np.array([*sorted(said), *sorted(characters)], dtype=np.int64)
    weights = np.full(len(ids), CHARACTERS_WEIGH, dtype=np.float32)
    weights[: len(said)] = 1.0
    return ids, weights


def _row(name: str) -> int:
    return zlib.crc32(name.encode()) % (BUCKETS - 1) + 1


def _ends(candidate: Candidate) -> Iterator[tuple[str, int, ItemMention]]:
    """The first and the last mention by either speaker: a name such as D1, its place, itself."""
    for letter, doctor in (("P", False), ("D", True)):
        own = [(k, m) for k, m in candidate.mentions if candidate.window[k].doctor == doctor]
        if own:
            yield f"{letter}1", *own[0]
            yield f"{letter}2", *own[-1]


def _said(candidate: Candidate) -> Iterator[str]:
    window, item, rule = candidate.window, candidate.item, candidate.rule
    places = sorted({place for place, _ in candidate.mentions})
    speakers = "".join("D" if window[place].doctor else "P" for place in places)
    by = f"{min(2, speakers.count('P'))}{min(2, speakers.count('D'))}"
    sources = "".join(sorted({m.source[0] for _, m in candidate.mentions}))
    kind = "disease" if candidate.disease else "symptom"
    for of in ("", item, kind):
        yield f"any|{of}"
        yield f"rule={rule}|{of}"
        yield f"sources={sources}|{of}"
        yield f"by={by}|{of}"
        yield f"by={by} rule={rule}|{of}"
        yield f"by={by} sources={sources}|{of}"
    yield f"speakers={speakers}"
    yield f"speakers={speakers} rule={rule}"
    told = " ".join(
        f"{'D' if window[place].doctor else 'P'} {m.status} {m.asked}"
        for place, m in candidate.mentions[-3:]
    )
    yield f"told={told}"
    yield f"told={told}|{item}"
    yield f"since={''.join('D' if u.doctor else 'P' for u in window[places[-1] :])}"
    yield f"length={len(window)}"
    yield f"last doctor={window[-1].doctor}"
    named = window[places[-1]]
    yield f"last named by doctor={named.doctor} asks={_asks(named)}"
    for end, place, mention in _ends(candidate):
        for name in _mention(candidate, place, mention, by, kind):
            yield f"{end} {name}"
    for spoken in window[-2:]:
        for cue in _cues_in(normalise(spoken.text)):
            yield f"window ends doctor={spoken.doctor} {cue}"


def _asks(spoken: Utterance) -> bool:
    return spoken.text[-1:] in tuple("?？吗么")


def _mention(
    candidate: Candidate, place: int, mention: ItemMention, by: str, kind: str
) -> Iterator[str]:
    """What is said where the item is named, and in the utterances before and after."""
    window, item = candidate.window, candidate.item
    text = normalise(window[place].text)
    words = text[mention.start : mention.end]
    left = len(window) - 1 - place
    meant = f"{mention.status} asked={mention.asked}"
    yield f"status={mention.status}"
    yield f"asked={mention.asked}"
    yield f"past={mention.past} other={mention.other_person}"
    yield f"left={left}"
    yield f"place={place}"
    for of in ("", left == 0, by, kind, item):
        yield f"meant={meant}|{of}"
    for of in ("", item):
        yield f"name={mention.name}|{of}"
        yield f"words={words}|{of}"
    yield f"length={min(6, len(text) // 12)}"
    yield f"opens={mention.start == 0}"
    yield f"named={min(5, candidate.named[place])}"
    for part, piece in _around(text, mention):
        for cue in _cues_in(piece):
            yield f"{part} {cue}"
            yield f"{part} {cue} by={by}"
    yield from _in_clause(text, mention, meant, kind)
    if left:
        yield from _reply(window[place], window[place + 1], mention)
    else:
        yield "no reply"
    if place:
        before = window[place - 1]
        yield f"before asks={_asks(before)} doctor={before.doctor}"
        if before.doctor != window[place].doctor:
            yield from (f"before {cue}" for cue in _cues_in(normalise(before.text)))


def _around(text: str, mention: ItemMention) -> Iterator[tuple[str, str]]:
    """The parts of the utterance whose cues count."""
    for name, mark in (("clause", _CLAUSE), ("sentence", _SENTENCE)):
        first, last = bounds(mark, text, mention.start, mention.end)
        yield f"{name} before", text[first : mention.start]
        yield f"{name} after", text[mention.end : last]
    yield "utterance", text


def _in_clause(text: str, mention: ItemMention, meant: str, kind: str) -> Iterator[str]:
    """The clause's cues by pairs, and each with what the item is and how it was meant."""
    first, last = bounds(_CLAUSE, text, mention.start, mention.end)
    before = _cues_in(text[first : mention.start]) or ("none",)
    after = _cues_in(text[mention.end : last]) or ("none",)
    yield from (f"clause {one} _ {other}" for one in before for other in after)
    for side, cues in (("before", before), ("after", after)):
        for cue in cues:
            yield f"clause {side} {cue} {meant}"
            yield f"clause {side} {cue} {kind}"


def _reply(spoken: Utterance, reply: Utterance, mention: ItemMention) -> Iterator[str]:
    text = normalise(reply.text)
    # Not only the first sentence answers: 好的谢谢。没有。
    answers = {bare_answer(part) for part in re.split(_CLAUSE, text)} - {None}
    for name, found in (
        ("opens", bare_answer(text)),
        ("holds", "+".join(sorted(map(str, answers)))),
    ):
        yield f"reply {name} {found} doctor={reply.doctor}"
        yield f"reply {name} {found} doctor={reply.doctor} asked={mention.asked}"
    if reply.doctor != spoken.doctor:
        yield from (f"reply {cue}" for cue in _cues_in(text))


def _characters(candidate: Candidate) -> Iterator[str]:
    """Runs of characters beside the mentions and at the beginning of the reply."""
    for end, place, mention in _ends(candidate):
        text = normalise(candidate.window[place].text)
        before = text[max(0, mention.start - _NEAR) : mention.start]
        after = text[mention.end : mention.end + _NEAR]
        for side, piece in (("<", before), (">", after)):
            yield from (f"{end}{side}{run}" for run in _runs(piece, 1, 3))
            yield from (f"{end[0]}{side}{run}" for run in _runs(piece, 2, 3))
        for size in (1, 2, 3):
            yield f"{end}<|{before[-size:]}"
            yield f"{end}|>{after[:size]}"
        if place + 1 < len(candidate.window):
            reply = candidate.window[place + 1]
            said = f"{end}reply doctor={reply.doctor} "
            opening = normalise(reply.text)[:_REPLY]
            yield from (f"{said}^{opening[:size]}" for size in (1, 2, 3, 4))
            yield from (f"{said}{run}" for run in _runs(opening, 2, 2))


def _runs(text: str, shortest: int, longest: int) -> Iterator[str]:
    for size in range(shortest, longest + 1):
        for start in range(len(text) - size + 1):
            yield text[start : start + size]
