"""What a network is shown: balanced draws, seeded changes, an equal share for each process."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from tests.training.imaging.pictures import altered, disc, small, write_skin  # noqa: E402
from training.imaging import batches  # noqa: E402
from training.imaging.augment import Augmenter  # noqa: E402
from training.imaging.config import ImagingConfig  # noqa: E402
from training.imaging.data import LabelledImages, read_set  # noqa: E402

pytestmark = pytest.mark.torch


def grey(height: int, width: int, count: int = 4) -> np.ndarray:
    """uint8 [N, height, width] with edges and tones."""
    rng = np.random.default_rng(0)
    pictures = [np.resize(disc(rng, 3)[..., 0], (height, width)) for _ in range(count)]
    return np.stack(pictures)


def test_draws_are_balanced_as_far_as_they_are_asked_to_be() -> None:
    labels = np.array([0] * 5 + [1] * 95)
    rows = batches.drawn(labels, 60, 1.0, np.random.default_rng(0))
    assert len(rows) == 60
    assert (labels[rows] == 0).sum() == 30
    natural = batches.drawn(labels, 60, 0.0, np.random.default_rng(0))
    assert (labels[natural] == 0).sum() == 3


def test_augmentation_is_seeded_stays_in_range_and_zero_strength_is_identity() -> None:
    batch = grey(96, 96, 6)
    once, again = Augmenter(4)(batch), Augmenter(4)(batch)
    np.testing.assert_array_equal(once, again)
    assert once.min() >= 0.0
    assert once.max() <= 1.0
    assert float(np.abs(once - batch / 255.0).mean()) > 0.02
    np.testing.assert_allclose(Augmenter(4, strength=0.0)(batch), batch / 255.0, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 66), (66, 48), (67, 67)])
def test_augmentation_takes_pictures_of_any_size_from_32_pixels(height: int, width: int) -> None:
    batch = grey(height, width, 16)
    for seed in range(4):
        changed = Augmenter(seed)(batch)
        assert changed.shape == batch.shape
        assert np.isfinite(changed).all()


@pytest.fixture(scope="module")
def config() -> ImagingConfig:
    return small("skin_lesion")


@pytest.fixture(scope="module")
def data(config: ImagingConfig, tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    path = tmp_path_factory.mktemp("data") / "skin.zip"
    write_skin(path, 28)
    return read_set(path, config)


def epoch(config: ImagingConfig, data: LabelledImages, number: int = 0) -> batches.Epoch:
    rows = batches.drawn_rows(data.first, config, 5, number)
    return batches.Epoch(data.images, data.labels, data.context, rows, config, 5, number)


def test_a_batch_is_the_same_in_whatever_order_it_is_asked_for(
    config: ImagingConfig, data: LabelledImages
) -> None:
    forwards = [epoch(config, data)[n] for n in (0, 1)]
    backwards = [epoch(config, data)[n] for n in (1, 0)][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(forwards[0][0], forwards[1][0])
    assert not torch.equal(forwards[0][0], epoch(config, data, 1)[0][0])


def test_context_is_blanked_in_part_of_the_draws(
    config: ImagingConfig, data: LabelledImages
) -> None:
    long = altered(config, optimisation=altered(config.optimisation, samples_per_epoch=240))
    known = torch.cat([context for _, context, _ in batches.loader(epoch(long, data))]).any(dim=1)
    assert 0.3 < float(known.float().mean()) < 0.8


def test_processes_share_each_batch_evenly_and_see_each_draw_once(
    config: ImagingConfig, data: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [labels for _, _, labels in batches.loader(epoch(config, data))]
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        shares.append([labels for _, _, labels in batches.loader(epoch(config, data))])
    for whole, first, second in zip(alone, *shares, strict=True):
        assert len(first) == len(second) == len(whole) // 2
        assert torch.equal(torch.stack([first, second], dim=1).flatten(0, 1), whole)
