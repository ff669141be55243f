"""Presentations, floors and scales of acuity agree with the lexicon, the sources and each other."""

from __future__ import annotations

import yaml

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.acuity_scales import acuity_scales
from knowledge_base.rules.floors import floors
from knowledge_base.rules.presentations import ACUITY, presentations, resources_of
from knowledge_base.rules.ruleset import read_sources
from knowledge_base.rules.scores import scores


def test_every_finding_of_a_presentation_is_in_the_lexicon() -> None:
    terms = lexicon()
    unknown = {c for p in presentations().listed for c in p.findings if c not in terms}
    assert not unknown


def test_presentations_speak_both_languages() -> None:
    for one in presentations().listed:
        assert one.name["zh"]
        assert one.name["en"]
        assert one.words.en and one.words.zh, one.id  # noqa: PT018


def test_sources_of_all_acuity_data_exist() -> None:
    known = read_sources()
    named = set(yaml.safe_load((ACUITY / "presentations.yaml").read_text("utf-8"))["sources"])
    for scale in acuity_scales().values():
        named |= set(scale.sources)
    assert named <= known.keys()


def test_floors_name_presentations_and_bands_that_exist() -> None:
    ids = {p.id for p in presentations().listed}
    for floor in floors():
        assert set(floor.text.presents) <= ids
        for score, bands in floor.text.score.items():
            assert set(bands) <= {band.code for band in getattr(scores(), score).bands}


def test_a_resource_counts_once_and_a_complex_procedure_twice() -> None:
    found = {p.id: p for p in presentations().listed}
    assert resources_of([found["urinary_symptoms"], found["fever"]]) == 1
    assert resources_of([found["refill"]]) == 0
    assert resources_of([found["pneumothorax"]]) == 3
