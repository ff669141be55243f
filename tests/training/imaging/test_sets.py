"""Reading image sets: patients are told apart or the set is refused; files decode as in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.imaging.decode import luminance
from tests.training.imaging.pictures import disc, png, small, write_set
from training.imaging.data import read_set
from training.imaging.errors import CannotTrain

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def chest(rows: list[dict[str, str]], path: Path, *images: bytes) -> Path:
    write_set(path / "set.zip", [{"label": "normal", "kind": "normal", **row} for row in rows],
              images or [png(np.full((40, 40), 90, np.uint8))] * len(rows))  # fmt: skip
    return path / "set.zip"


def test_a_set_that_does_not_name_its_patients_is_refused_where_the_config_wants_them(
    tmp_path: Path,
) -> None:
    config = small("cxr_pneumonia")
    assert config.data.group == "patient"
    with pytest.raises(CannotTrain, match="no column patient"):
        read_set(chest([{}, {}], tmp_path), config)


def test_a_row_without_its_patient_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotTrain, match="without a patient"):
        read_set(chest([{"patient": "p1"}, {"patient": ""}], tmp_path), small("cxr_pneumonia"))


def test_an_empty_set_and_a_broken_picture_are_refused(tmp_path: Path) -> None:
    path = chest([{"patient": "p1"}], tmp_path, b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(CannotTrain, match=r"images/0\.png"):
        read_set(path, small("cxr_pneumonia"))
    with pytest.raises(CannotTrain, match="no images"):
        read_set(path, small("cxr_pneumonia"), limit=0)


def test_colours_turn_grey_by_luminance_and_16_bits_keep_their_tones(tmp_path: Path) -> None:
    colours = disc(np.random.default_rng(0), 3)[:40, :40]
    deep = np.linspace(0, 65535, 1600).reshape(40, 40).astype(np.uint16)
    rows = [{"patient": "p1"}, {"patient": "p2"}]
    path = chest(rows, tmp_path, png(colours), png(deep))
    images = read_set(path, small("cxr_pneumonia")).images
    np.testing.assert_array_equal(images[0], np.rint(luminance(colours) * 255))
    np.testing.assert_array_equal(images[1], np.rint(deep / 257.0))


def test_a_packed_set_in_colours_turns_grey_for_a_grey_model(tmp_path: Path) -> None:
    colours = np.stack([disc(np.random.default_rng(i), 2) for i in range(3)])
    np.savez(tmp_path / "set.npz", train_images=colours, train_labels=np.zeros((3, 1), int))
    config = small("ct_nodule")
    head = config.first.model_copy(update={"column": "label", "values": ("0", "1")})
    config = config.model_copy(update={"heads": (head,)})
    images = read_set(tmp_path / "set.npz", config).images
    assert images.shape == colours.shape[:3]
    np.testing.assert_array_equal(images[1], np.rint(luminance(colours[1]) * 255))
