"""Which task reads an instance that nobody asked about, by what its header may say."""

from __future__ import annotations

import pytest

from models.imaging.dicom_elements import RULES
from models.repository import ModelRepository
from serving.dicomweb.routing import route_task, routing

HOSTED = {"cxr_pneumonia", "fundus_dr", "skin_lesion", "ct_nodule"}
ANY_CLASS = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("modality", "body_part", "task"),
    [
        ("DX", "CHEST", "cxr_pneumonia"),
        ("DX", "THORAX", "cxr_pneumonia"),
        ("CR", "LUNG", "cxr_pneumonia"),
        ("CR", "KNEE", None),
        ("CR", None, None),
        ("OP", "EYE", "fundus_dr"),
        ("OP", "RETINA", "fundus_dr"),
        ("OP", None, "fundus_dr"),
        ("OP", "OTHER", None),
        ("DMS", None, "skin_lesion"),
        ("DMS", "HEAD", "skin_lesion"),
        ("XC", "SKIN", "skin_lesion"),
        ("XC", None, None),
        ("CT", "CHEST", None),
    ],
)
def test_modality_and_part_choose_the_task(
    modality: str, body_part: str | None, task: str | None
) -> None:
    assert route_task(modality, body_part, ANY_CLASS, HOSTED) == task


def test_what_is_routed_to_a_model_is_of_its_population() -> None:
    shipped = {e.manifest.name: e.manifest.population for e in ModelRepository().entries()}
    for route in routing().routes:
        population = shipped.get(route.task)
        if population is None:
            continue
        assert route.modalities <= set(population.modalities or route.modalities), route
        assert route.body_parts <= set(population.body_parts or route.body_parts), route


def test_the_table_names_only_terms_that_are_read_from_a_header() -> None:
    for route in routing().routes:
        assert route.modalities <= RULES.terms["Modality"]
        assert route.body_parts <= RULES.terms["BodyPartExamined"]
