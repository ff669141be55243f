"""Which column of an image set's labels holds the truth of which question.

The manifest names it. Where it does not, or the set has other names, a column is taken only if it
is the one that can be meant: a guess between two would score the model against the wrong truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from eval.result import BenchmarkError
from models.imaging.questions import Question

GROUPS = ("patient", "lesion_id")
"""Columns that say which images are of one patient."""
_NO_TRUTH = frozenset(
    {
        *GROUPS, "age", "age_years", "fold", "gender", "group", "localization", "part",
        "patient_id", "sex", "site", "source", "split",
    }
)  # fmt: skip

Labels = npt.NDArray[np.int64]
Columns = Mapping[str, tuple[str, ...]]


def truths(columns: Columns, asked: Sequence[Question]) -> dict[int, tuple[str, Labels]]:
    """By question number the column and the label index per image [N]; -1 where a research
    question's label is none of its own. Questions that the set has no column for are left out.

    Raises BenchmarkError where no question has one, or several could be meant.
    """
    found: dict[int, tuple[str, Labels]] = {}
    for number, question in enumerate(asked):
        named = _named(columns, question)
        if named is not None:
            found[number] = named
    taken = {column for column, _ in found.values()}
    names = {name for question in asked for name in (question.column, question.code) if name}
    for number, question in enumerate(asked):
        if number in found:
            continue
        # What bears another question's name is not this one's, whatever its values look like.
        others = names - {question.column, question.code}
        free = [name for name in columns if name not in taken | others | _NO_TRUTH]
        guessed = _guessed(columns, free, question)
        if guessed is not None:
            found[number] = guessed
            taken.add(guessed[0])
    if not found:
        wanted = "; ".join(f"{q.code}: {', '.join(q.codes)}" for q in asked)
        raise BenchmarkError(
            f"no label column holds only labels that the model knows ({wanted}); "
            f"the columns are {', '.join(columns)}"
        )
    return dict(sorted(found.items()))


def _named(columns: Columns, question: Question) -> tuple[str, Labels] | None:
    """The column that the manifest names, else the one that is named like the question."""
    for name in dict.fromkeys((question.column, question.code)):
        if name and name in columns:
            labels = _read(columns[name], question)
            if labels is not None:
                return name, labels
    return None


def _guessed(
    columns: Columns, free: Sequence[str], question: Question
) -> tuple[str, Labels] | None:
    """The only column of label codes; without any, the only one of label numbers."""
    for known in (question.codes, _numbers(question)):
        fitting = [name for name in free if set(columns[name]) <= set(known)]
        if len(fitting) > 1:
            raise BenchmarkError(
                f"several columns could hold the truth of {question.code}: {', '.join(fitting)}"
            )
        if fitting:
            return fitting[0], _indices(columns[fitting[0]], known)
    return None


def _read(values: Sequence[str], question: Question) -> Labels | None:
    """Label codes, else numbers from 0; of a research question some values may be neither."""
    for known in (question.codes, _numbers(question)):
        strange = set(values) - set(known)
        if not strange or (question.research_only and len(strange) < len(set(values))):
            return _indices(values, known)
    return None


def _indices(values: Sequence[str], known: Sequence[str]) -> Labels:
    return np.array([known.index(v) if v in known else -1 for v in values], dtype=np.int64)


def _numbers(question: Question) -> tuple[str, ...]:
    return tuple(str(i) for i in range(len(question.codes)))
