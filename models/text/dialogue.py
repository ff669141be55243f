"""What a doctor and a patient say of an item in a window of a dialogue, and the rules' verdict.

The product reads a patient's messages; here both speak. So this module adds what lies between
utterances and nothing else: who said it, whether it was asked, and what a bare yes or no answers.
A doctor mostly asks and explains, so by the rules what only the doctor named stays unknown.
Nothing here is learned: `models/tasks/dialogue_status.py` decides between the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.rules.facts import Status
from knowledge_base.yaml_files import ContentError, read_yaml
from models.text.findings import Finding, Reader
from models.text.normalise import normalise

ITEMS = Path(__file__).with_name("dialogue_items.yaml")
Source = Literal["codes", "also", "words"]
_UNKNOWN: Status = "unknown"
_SPEAKER = re.compile(r"^(患者|医生)\s*[:：]\s*")
_CLAUSE_END = re.compile(r"[。！？!?；;，,\s]")
_ASKED = re.compile(r"[?？吗]|有没有|是不是|是否|有无|会不会|能不能|么$")
# A bare answer; 没什么 opens a sentence of its own.
_YES = re.compile(r"^(?:是的|是啊|是|有的|有点|有一点|有|对的|对|嗯|会的|会|偶尔)")
_NO = re.compile(r"^(?:都没有|也没有|没有|没|不是的|不是|不会|不|无)(?!什么)")
_DENIED = re.compile(r"[没无不未][^。！？!?；;，,\s]{0,3}$")
_GAP = r"[^。！？!?；;，,\s]{0,6}?"


@dataclass(frozen=True)
class Utterance:
    """What one of the two said; `doctor` is false for the patient."""

    doctor: bool
    text: str


@dataclass(frozen=True)
class Item:
    """One item of the table; see `dialogue_items.yaml` for the three lists."""

    codes: tuple[str, ...]
    also: tuple[str, ...]
    words: re.Pattern[str]


@dataclass(frozen=True)
class ItemMention:
    """Words of an utterance that may mean an item: `text[start:end]`.

    `name` is the finding's code, or `words` where only the wording speaks for the item.
    """

    source: Source
    name: str
    start: int
    end: int
    status: Status
    asked: bool
    past: bool = False
    other_person: bool = False


@dataclass(frozen=True)
class Candidate:
    """An item that a window may speak of: its mentions by place in the window, and the rules'
    verdict, None where the rules saw no finding of it.

    `named`: how many items the rules see in each utterance of the window.
    """

    item: str
    window: tuple[Utterance, ...]
    mentions: tuple[tuple[int, ItemMention], ...]
    rule: Status | None
    disease: bool
    named: tuple[int, ...]


def utterance(line: str) -> Utterance:
    """An utterance from `患者:…` or `医生:…`; anything else is the patient's."""
    found = _SPEAKER.match(line)
    return Utterance(
        doctor=found is not None and found.group(1) == "医生",
        text=line[found.end() :] if found else line,
    )


@lru_cache(maxsize=1)
def dialogue_items() -> dict[str, Item]:
    """The table of items; raises ContentError for a code that the lexicon lacks."""
    raw = read_yaml(ITEMS)["items"]
    assert isinstance(raw, dict)
    items = {
        str(name): Item(
            codes=tuple(entry["codes"]),
            also=tuple(entry.get("also", ())),
            words=_pattern(entry["words"]),
        )
        for name, entry in raw.items()
    }
    listed = {code for item in items.values() for code in (*item.codes, *item.also)}
    strange = listed - lexicon().keys()
    if strange:
        raise ContentError(f"{ITEMS.name}: the lexicon lacks {sorted(strange)}")
    return items


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_GAP.join(map(re.escape, w.split("…"))) for w in words))


class DialogueReader:
    """Reads windows of a dialogue with one lexicon and one table of items."""

    def __init__(self, terms: Lexicon, items: Mapping[str, Item]) -> None:
        self._reader = Reader(terms)
        self._items = items
        self._item_of = _items_by_code(terms, items)
        self._also: dict[str, list[str]] = {}
        for name, item in items.items():
            for code in item.also:
                self._also.setdefault(code, []).append(name)
        self._diseases = {n for n, i in items.items() if terms[i.codes[0]].kind == "condition"}
        self._mentions = lru_cache(maxsize=4096)(self._read)

    def read(self, window: Iterable[str]) -> frozenset[tuple[str, Status]]:
        """(item, status) of a window of utterances, oldest first, by the rules alone."""
        return frozenset(self._verdict([utterance(line) for line in window]).items())

    def candidates(self, window: Iterable[str]) -> list[Candidate]:
        """Every item that the window may speak of, with all of its mentions."""
        spoken = tuple(utterance(line) for line in window)
        found: dict[str, list[tuple[int, ItemMention]]] = {}
        for place, said in enumerate(spoken):
            for item, mentions in self._mentions(said.text).items():
                found.setdefault(item, []).extend((place, m) for m in mentions)
        verdict = self._verdict(spoken)
        named = tuple(len(self._statuses(said.text)) for said in spoken)
        return [
            Candidate(
                item, spoken, tuple(mentions), verdict.get(item), item in self._diseases, named
            )
            for item, mentions in found.items()
        ]

    def _verdict(self, window: Sequence[Utterance]) -> dict[str, Status]:
        """Status by item: the patient's last word counts.

        An item that the doctor named is unknown until the patient says more; a reply that opens
        with yes or no answers what the doctor named last.
        """
        statuses: dict[str, Status] = {}
        named: tuple[str, ...] = ()
        for spoken in window:
            mentions = self._statuses(spoken.text)
            if spoken.doctor:
                named = tuple(mentions)
                statuses = dict.fromkeys(named, _UNKNOWN) | statuses
                continue
            reply = bare_answer(spoken.text)
            if reply is not None:
                statuses |= dict.fromkeys(named, reply)
            for item, status in mentions.items():
                if status != _UNKNOWN or item not in statuses:
                    statuses[item] = status
            named = ()
        return statuses

    def _statuses(self, text: str) -> dict[str, Status]:
        """Status by item of one utterance; a known status wins over an unknown one."""
        found: dict[str, Status] = {}
        for item, mentions in self._mentions(text).items():
            for mention in mentions:
                if mention.source == "codes" and found.get(item, _UNKNOWN) == _UNKNOWN:
                    found[item] = _UNKNOWN if mention.asked else mention.status
        return found

    def _read(self, text: str) -> dict[str, list[ItemMention]]:
        """Mentions of one utterance by item, in the order of the text."""
        found: dict[str, list[ItemMention]] = {}
        for finding in self._reader.read(text).findings:
            own = self._item_of.get(finding.code)
            if own is not None:
                found.setdefault(own, []).append(_mention("codes", text, finding))
            for item in self._also.get(finding.code, ()):
                if item != own:
                    found.setdefault(item, []).append(_mention("also", text, finding))
        folded = normalise(text)
        for name, listed in self._items.items():
            taken = [(m.start, m.end) for m in found.get(name, ())]
            for match in listed.words.finditer(folded):
                start, end = match.span()
                if not any(s < end and start < e for s, e in taken):
                    denied = _DENIED.search(text[:start]) is not None
                    found.setdefault(name, []).append(
                        ItemMention("words", "words", start, end,
                                    "absent" if denied else "present", _is_asked(text, start, end))
                    )  # fmt: skip
        return {item: sorted(mentions, key=lambda m: m.start) for item, mentions in found.items()}


def _mention(source: Source, text: str, finding: Finding) -> ItemMention:
    return ItemMention(
        source, finding.code, finding.start, finding.end, finding.status,
        _is_asked(text, finding.start, finding.end),
        past=finding.temporality == "past", other_person=finding.experiencer != "self",
    )  # fmt: skip


def _items_by_code(terms: Lexicon, items: Mapping[str, Item]) -> dict[str, str]:
    """Item by finding code: listed codes first, then their narrower ones, nearest parent first."""
    listed = {code: name for name, item in items.items() for code in item.codes}
    narrower: dict[str, str] = {}
    for code in sorted(listed, key=lambda c: len(terms.narrower(c))):
        for inner in terms.narrower(code):
            narrower.setdefault(inner, listed[code])
    return narrower | listed


def _is_asked(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] stands in a clause that asks."""
    first, last = bounds(_CLAUSE_END, text, start, end)
    return bool(_ASKED.search(text[first:last]))


def bounds(mark: re.Pattern[str], text: str, start: int, end: int) -> tuple[int, int]:
    """From behind the last `mark` before text[start:end] to the end of the next one after it."""
    first = max((m.end() for m in mark.finditer(text, 0, start)), default=0)
    last = mark.search(text, end)
    return first, last.end() if last else len(text)


def bare_answer(text: str) -> Status | None:
    """What a reply that opens with yes or no says of the thing that was asked."""
    if _NO.match(text):
        return "absent"
    return "present" if _YES.match(text) else None
