"""Which column is the truth of which question: never a guess between two, never an age."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.columns import truths
from eval.imaging import AS_IS, Truth, View, estimates
from eval.result import BenchmarkError
from models.imaging.questions import Question, question_of
from models.manifest import Head, Label


def question(code: str, codes: str, column: str = "", *, research: bool = False) -> Question:
    labels = [Label(code=c, zh=c, en=c) for c in codes.split()]
    head = Head(
        code=code, zh=code, en=code, output="logits", column=column, labels=labels,
        research_only=research,
    )  # fmt: skip
    return question_of(head, {})


GRADE = question("fundus_dr", "0 1 2 3 4", "dr_grade")
OEDEMA = question("dme", "0 1 2", "dme_risk")
CHEST = question("cxr_pneumonia", "normal pneumonia")
KIND = question("kind", "viral bacterial", research=True)


def columns(**named: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values.split()) for name, values in named.items()}


def chosen(named: dict[str, tuple[str, ...]], *asked: Question) -> dict[int, str]:
    return {number: column for number, (column, _) in truths(named, asked).items()}


def test_the_column_that_the_manifest_names_is_taken_wherever_it_stands() -> None:
    both = columns(age="1 2 0", dme_risk="0 1 2", dr_grade="3 4 0")
    assert chosen(both, GRADE, OEDEMA) == {0: "dr_grade", 1: "dme_risk"}


def test_a_file_with_one_of_two_questions_is_judged_on_that_one() -> None:
    assert chosen(columns(dr_grade="0 1"), GRADE, OEDEMA) == {0: "dr_grade"}
    assert chosen(columns(dme_risk="0 1"), GRADE, OEDEMA) == {1: "dme_risk"}


def test_what_says_who_the_patient_is_is_never_the_truth() -> None:
    who = "group age age_years sex gender localization site split fold patient patient_id lesion_id"
    named = columns(**dict.fromkeys(who.split(), "0 1"))
    with pytest.raises(BenchmarkError, match="no label column"):
        truths(named, [CHEST])
    assert chosen(named | columns(finding="1 0"), CHEST) == {0: "finding"}


def test_label_codes_go_before_numbers() -> None:
    named = columns(number="0 1", words="normal pneumonia")
    assert chosen(named, CHEST) == {0: "words"}


def test_between_two_columns_nobody_guesses() -> None:
    with pytest.raises(BenchmarkError, match=r"several columns .* cxr_pneumonia: first, second"):
        truths(columns(first="0 1", other="x y", second="1 1"), [CHEST])
    unnamed = [question("fundus_dr", "0 1 2 3 4"), question("dme", "0 1 2")]
    with pytest.raises(BenchmarkError, match="dr_grade, dme_risk"):
        truths(columns(dr_grade="0 1", dme_risk="0 2"), unnamed)


def test_a_named_column_with_strange_values_is_told_with_the_columns_there_are() -> None:
    with pytest.raises(BenchmarkError, match="the columns are dr_grade"):
        truths(columns(dr_grade="0 9"), [GRADE])


def test_of_a_research_question_some_labels_may_be_none_of_its_own() -> None:
    named = columns(label="normal pneumonia pneumonia", kind="normal viral bacterial")
    found = truths(named, [CHEST, KIND])
    assert found[1][0] == "kind"
    assert found[1][1].tolist() == [-1, 0, 1]


def test_two_questions_are_right_together_only_where_both_are() -> None:
    def sure(codes: int, answers: list[int]) -> np.ndarray:
        return np.eye(codes)[answers] * 0.9 + 0.1 / codes

    grades, risks = np.array([0, 3, 4, 2]), np.array([0, 2, 1, 1])
    view = View((sure(5, [0, 3, 4, 1]), sure(3, [0, 2, 2, 1])), np.ones(4, dtype=bool))
    truth = Truth({0: grades, 1: risks}, {0: "dr_grade", 1: "dme_risk"}, None)
    found = estimates(truth, view, [GRADE, OEDEMA], samples=20)
    assert found["accuracy"].value == 0.75
    assert found["joint_accuracy"].value == 0.5, "rows 0 and 1 alone are right in both"
    alone = estimates(Truth({1: risks}, {1: "dme_risk"}, None), view, [GRADE, OEDEMA], samples=20)
    assert alone["accuracy"].value == 0.75
    assert "joint_accuracy" not in alone


def test_the_whole_benchmark_runs_on_a_set_of_one_question(tmp_path: Path) -> None:
    from eval.run import run
    from tests.eval.files import write_zip

    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    images = {"a.png": (noise, "1,0,1"), "b.png": (noise.T.copy(), "0,1,1")}
    data = write_zip(tmp_path / "a.zip", "sex,nodule,group", images)
    result = run("imaging", data, task="ct_nodule")
    assert "column `nodule`: 1 no_nodule, 1 nodule" in result.scored.details.data[0]
    assert AS_IS not in result.scored.stress
