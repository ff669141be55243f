"""The taxonomy and its crosswalks hold together, and sum as they say."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.departments import crosswalk_for, crosswalks, taxonomy

INTERNAL = ["肝病科", "消化科", "神经科", "心血管科", "内分泌科"]
ALL = ["内科", "外科", "妇产科", "中医科", "皮肤性病科", "美容", "药品"]


def test_every_department_has_names_and_a_parent_that_lists_it() -> None:
    tree = taxonomy()
    assert len(tree.departments) == 57
    for code, department in tree.departments.items():
        assert department.zh
        assert department.en
        assert code in tree.parent_of(code).children


def test_labels_pick_their_crosswalk() -> None:
    assert crosswalk_for(INTERNAL).name == "zh_consult_internal"
    assert crosswalk_for(ALL).name == "zh_consult_all"


def test_labels_that_the_published_set_has_and_its_dev_part_lacks_are_known() -> None:
    bound = crosswalk_for([*ALL, "男科", "整形美容科"])
    assert not bound.unknown
    assert bound.label_of("andrology") == "男科"
    assert bound.label_of("plastic_surgery") == "整形美容科"
    assert crosswalk_for(ALL).label_of("andrology") == "外科"


def test_probabilities_are_summed_into_labels_and_renormalised() -> None:
    ranked = crosswalk_for(INTERNAL).to_label(
        {"hepatology": 0.3, "cardiology": 0.1, "urology": 0.6}
    )
    assert ranked[0] == ("肝病科", pytest.approx(0.75))
    assert ranked[1] == ("心血管科", pytest.approx(0.25))
    assert {label for label, _ in ranked} == set(INTERNAL)


def test_without_any_mass_on_the_labels_all_are_equal() -> None:
    ranked = crosswalk_for(INTERNAL).to_label({"urology": 1.0})
    assert [p for _, p in ranked] == pytest.approx([0.2] * 5)


def test_a_label_nobody_knows_is_reported_and_never_answered() -> None:
    bound = crosswalk_for([*ALL, "兽医科"])
    assert bound.unknown == {"兽医科"}
    assert "兽医科" not in dict(bound.to_label({"cardiology": 1.0}))


def test_no_known_label_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="兽医科"):
        crosswalk_for(["兽医科"])


def test_what_a_label_teaches_is_counted_as_that_label() -> None:
    for walk in crosswalks().values():
        for label, code in walk.to_code.items():
            if walk.candidates:
                assert label.split("/")[0] in walk.candidates[code], (walk.name, label)


def test_every_department_is_some_label_of_the_all_round_set() -> None:
    assert set(crosswalks()["zh_consult_all"].candidates) == set(taxonomy().departments)


def test_a_disease_is_refined_by_its_name() -> None:
    walk = crosswalks()["zh_diseases"]
    assert walk.code_of("外科/普外科", "乳腺增生") == "breast_surgery"
    assert walk.code_of("外科/普外科", "阑尾炎") == "general_surgery"
    assert walk.code_of("急诊科", "乙醚中毒") == "toxicology"
    assert walk.code_of("占卜科") is None
