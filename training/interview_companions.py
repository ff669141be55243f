"""Counts how often findings go together, and with which department, for the interview's questions.

    python -m training.interview_companions --data FOLDER

Reads the patients' questions of zh_consult_internal.train and the symptom lists of zh_diseases with
our own reader and writes companions.yaml and places.yaml in knowledge_base/interview: shares of
findings, no words of either set. A list names what only the last stage of a disease has, so its
shares count less among companions, and those of signs and events least.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from knowledge_base.interview import data
from knowledge_base.lexicon.departments import crosswalks
from knowledge_base.lexicon.findings import Lexicon, lexicon
from models.text.findings import Reader

FOLDER = Path(data.__file__).parent
_FEWEST = 15
"""Texts that a finding must occur in before its company counts."""
_LEAST, _MOST = 0.01, 30
_KINDS = frozenset({"symptom", "sign", "state", "event"})
_OF_LISTS = {"symptom": 0.5, "sign": 0.15, "state": 0.15, "event": 0.15}
_HEAD = """\
# How often a finding goes with another: {complaint: {companion: share}}.
# Shares over patients' questions to internal medicine and diseases' symptom lists; made by
# `python -m training.interview_companions`. Used to order questions, never to decide.
version: 1
companions:
"""

_PLACES = """\
# How often a department's diseases have a finding: {department: {finding: share}}. Shares over the
# symptom lists of diseases; made by `python -m training.interview_companions`. Used to choose a
# question that tells departments apart, never to route.
version: 1
places:
"""

Shares = dict[str, dict[str, float]]


class Row(TypedDict, total=False):
    """The fields that are read."""

    text: str
    name: str
    symptoms: list[str]
    departments: list[str]


def main() -> None:
    """Read, count, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    text = parser.parse_args().data / "text"
    terms, reader = lexicon(), Reader()
    asked = (row["text"] for row in _rows(text / "zh_consult_internal.train.jsonl.gz"))
    lists = ("。".join(row["symptoms"]) for row in _rows(text / "zh_diseases.jsonl.gz"))
    said = _shares(asked, terms, reader)
    listed = _shares(lists, terms, reader)
    _write("companions.yaml", _HEAD, _lines(said, listed, terms))
    _write("places.yaml", _PLACES, _places(text / "zh_diseases.jsonl.gz", terms, reader))


def _write(name: str, head: str, lines: Iterable[str]) -> None:
    (FOLDER / name).write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


def _places(path: Path, terms: Lexicon, reader: Reader) -> Iterator[str]:
    """One line per department with enough diseases, children's aside: age decides on those."""
    crosswalk = crosswalks()["zh_diseases"]
    number: Counter[str] = Counter()
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in _rows(path):
        codes = _present("。".join(row["symptoms"]), terms, reader)
        labels = {crosswalk.code_of(label, row["name"]) for label in row["departments"]}
        for department in labels - {None}:
            number[str(department)] += 1
            found[str(department)].update(codes)
    for department in sorted(number):
        if number[department] >= _FEWEST and "paediatric" not in department:
            shares = {code: n / number[department] for code, n in found[department].items()}
            yield f"  {department}: {_row(shares)}"


def _rows(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _shares(texts: Iterable[str], terms: Lexicon, reader: Reader) -> Shares:
    """By finding: in what share of its texts another one stands too."""
    number: Counter[str] = Counter()
    together: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        codes = _present(text, terms, reader)
        number.update(codes)
        for code in codes:
            together[code].update(codes - {code} - terms.implied(code))
    return {
        code: {other: n / number[code] for other, n in found.items()}
        for code, found in together.items()
        if number[code] >= _FEWEST
    }


def _present(text: str, terms: Lexicon, reader: Reader) -> set[str]:
    present = {f.code for f in reader.read(text).findings if f.status == "present"}
    present |= {broader for code in present for broader in terms.implied(code)}
    return {code for code in present if terms[code].kind in _KINDS}


def _row(shares: dict[str, float]) -> str:
    kept = sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:_MOST]
    return "{" + ", ".join(f"{c}: {share:.2f}" for c, share in kept if share >= _LEAST) + "}"


def _lines(said: Shares, listed: Shares, terms: Lexicon) -> Iterator[str]:
    for code in sorted(said.keys() | listed.keys()):
        shares = {o: s * _OF_LISTS[terms[o].kind] for o, s in listed.get(code, {}).items()}
        for other, share in said.get(code, {}).items():
            shares[other] = max(share, shares.get(other, 0.0))
        yield f"  {code}: {_row(shares)}"


if __name__ == "__main__":
    main()
