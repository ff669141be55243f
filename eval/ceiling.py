"""How far the labels of zh_consult_all can be followed at all: two readers who saw only the text.

    python -m eval.ceiling FENZHEN_DATA

160 rows drawn at random were read twice, without their labels and each time in another order; the
readings are `eval/readings/zh_consult_all.csv` (row = number of the line from 0; a second choice
where one was given; sureness 3 clear, 2 probable, 1 undecided by the text). Where two readers
agree with each other but not with the file, the label follows something that the text does not
say: the doctor who answered, the column of the site. What they reach is what a model that
reads only the text can be asked for, but for the habits of the labels that it learns.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.metrics import wilson_interval

READINGS = Path(__file__).parent / "readings" / "zh_consult_all.csv"
SET = "text/zh_consult_all.dev.jsonl"


@dataclass(frozen=True)
class Reading:
    """One row read twice: first and, where given, second choices of both readers."""

    row: int
    first: str
    second: str
    choices: frozenset[str]


@dataclass(frozen=True)
class Ceiling:
    """Shares of the rows, each with (right, of how many)."""

    shares: dict[str, tuple[int, int]]

    def lines(self) -> list[str]:
        """One line per share, with its 95 % Wilson interval."""
        found = []
        for name, (right, n) in self.shares.items():
            low, high = wilson_interval(right, n)
            found.append(f"{name}: {right / n:.3f} ({low:.3f}-{high:.3f}), {right} of {n}")
        return found


def readings(path: Path = READINGS) -> list[Reading]:
    """The readings in the file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Reading(
                int(row["row"]),
                row["first_reader"],
                row["second_reader"],
                frozenset(
                    row[name]
                    for name in (
                        "first_reader",
                        "first_second_choice",
                        "second_reader",
                        "second_second_choice",
                    )
                    if row[name]
                ),
            )
            for row in csv.DictReader(stream)
        ]


def ceiling(labels: Sequence[str], read: Sequence[Reading]) -> Ceiling:
    """Agreement of the readers with each other and with the file's `labels` (by line)."""
    agreed = [r for r in read if r.first == r.second]
    n = len(read)
    return Ceiling(
        {
            "the readers with each other": (len(agreed), n),
            "the first reader with the label": (sum(r.first == labels[r.row] for r in read), n),
            "the second reader with the label": (sum(r.second == labels[r.row] for r in read), n),
            "both alike, with the label": (
                sum(r.first == labels[r.row] for r in agreed),
                len(agreed),
            ),
            "the label among all choices of both": (
                sum(labels[r.row] in r.choices for r in read),
                n,
            ),
        }
    )


def main(data_dir: Path) -> None:
    """Print the estimate."""
    with (data_dir / SET).open(encoding="utf-8") as stream:
        labels = [str(json.loads(line)["department"]) for line in stream]
    print("\n".join(ceiling(labels, readings()).lines()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
