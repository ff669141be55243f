"""A stopped run ends as an unbroken one does, and no run goes on from another's checkpoint."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("monai")

from tests.training.imaging.pictures import altered, small, write_fundus  # noqa: E402
from training.imaging import checkpoint  # noqa: E402
from training.imaging.config import ImagingConfig  # noqa: E402
from training.imaging.data import LabelledImages, read_set  # noqa: E402
from training.imaging.errors import CannotTrain, Diverged  # noqa: E402
from training.imaging.fit import Fitter, build_net  # noqa: E402
from training.imaging.net import SalientNet  # noqa: E402

pytestmark = pytest.mark.torch
HELD = np.arange(20, 30)


def quiet(_: str) -> None:
    """Where nobody reads along."""


@pytest.fixture(scope="module")
def config() -> ImagingConfig:
    """One set for all members: two epochs of two batches."""
    whole = small("fundus_dr", epochs=(2, 2), distil=2)
    return altered(whole, data=altered(whole.data, folds=0))


@pytest.fixture(scope="module")
def data(config: ImagingConfig, tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    path = tmp_path_factory.mktemp("data") / "fundus.zip"
    write_fundus(path, 30)
    return read_set(path, config)


def fitter(
    config: ImagingConfig, data: LabelledImages, folder: Path, *teachers: SalientNet
) -> Fitter:
    rows = np.setdiff1d(np.arange(len(data)), HELD)
    return Fitter(config, data.take(rows), data.take(HELD), folder, 0, teachers)


def one_epoch(run: Fitter) -> None:
    run._keep(run._epoch(), run._score())


def with_folds(config: ImagingConfig) -> ImagingConfig:
    return altered(config, data=altered(config.data, folds=5))


@pytest.mark.parametrize("kind", ["member", "student", "fold"])
def test_a_stopped_run_ends_to_the_digit_as_an_unbroken_one(
    kind: str, config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    teachers = (build_net(config).eval(),) if kind == "student" else ()
    if kind == "fold":
        config = with_folds(config)
    whole = fitter(config, data, tmp_path / "whole", *teachers)
    expected = whole.run(resume=False, report=quiet)
    one_epoch(fitter(config, data, tmp_path / "stopped", *teachers))
    torch.manual_seed(99)  # what came before must not matter
    resumed = fitter(config, data, tmp_path / "stopped", *teachers)
    found = resumed.run(resume=True, report=quiet)
    assert resumed.state == whole.state
    assert len(resumed.state.history) == 2
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    for name, value in whole.net.state_dict().items():
        assert torch.equal(resumed.net.state_dict()[name], value), name


def test_workers_make_the_very_same_batches(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    with_workers = altered(config, optimisation=altered(config.optimisation, workers=2))
    alone, helped = fitter(config, data, tmp_path / "0"), fitter(with_workers, data, tmp_path / "2")
    assert alone._epoch() == helped._epoch()
    for name, value in alone.net.state_dict().items():
        assert torch.equal(helped.net.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("section", "changes", "named"),
    [
        ("optimisation", {"learning_rate": 0.5}, r"optimisation\.learning_rate is 0\.001 there"),
        ("optimisation", {"epochs": (3, 2)}, "epochs is 2 there and 3 here"),
        ("net", {"pool_power": 1.5}, r"net\.pool_power"),
        ("preprocessing", {"size": 40}, r"preprocessing\.size"),
    ],
)
def test_changed_settings_are_named_and_their_checkpoint_refused(
    section: str, changes: dict[str, object], named: str,
    config: ImagingConfig, data: LabelledImages, tmp_path: Path,
) -> None:  # fmt: skip
    one_epoch(fitter(config, data, tmp_path))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    part = getattr(config, section)
    new = replace(part, **changes) if is_dataclass(part) else altered(part, **changes)
    with pytest.raises(CannotTrain, match=named):
        fitter(altered(config, **{section: new}), data, tmp_path).run(resume=True, report=quiet)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_other_images_another_member_and_other_teachers_are_refused(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    one_epoch(fitter(config, data, tmp_path))
    shifted = data.take(np.roll(np.arange(len(data)), 1))
    with pytest.raises(CannotTrain, match=r"data\.held_out.*data\.train"):
        fitter(config, shifted, tmp_path).run(resume=True, report=quiet)
    rows = np.setdiff1d(np.arange(len(data)), HELD)
    other = Fitter(config, data.take(rows), data.take(HELD), tmp_path, 1)
    with pytest.raises(CannotTrain, match="member is 0 there and 1 here"):
        other.run(resume=True, report=quiet)
    with pytest.raises(CannotTrain, match="teachers"):
        fitter(config, data, tmp_path, build_net(config)).run(resume=True, report=quiet)


def test_what_changes_only_speed_length_or_names_does_not_disown_a_checkpoint(
    config: ImagingConfig, data: LabelledImages
) -> None:
    def run(changed: ImagingConfig) -> str:
        return checkpoint.Run.of(
            changed, member=0, epochs=2, train=data, held_out=data, teachers=()
        ).record["sha256"]

    faster = altered(config.optimisation, threads=2, workers=3, patience=1, epochs=(2, 9, 9))
    head = altered(config.heads[0], en="another name", threshold_for="3")
    assert run(config) == run(altered(config, optimisation=faster))
    assert run(config) == run(altered(config, heads=(head, *config.heads[1:])))
    assert run(config) != run(altered(config, seed=1))


def test_a_checkpoint_of_an_older_version_goes_on_with_a_warning(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    one_epoch(fitter(config, data, tmp_path))
    path = tmp_path / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    del saved["run"]
    torch.save(saved, path)
    told: list[str] = []
    resumed = fitter(config, data, tmp_path)
    resumed.run(resume=True, report=told.append)
    assert resumed.state.epoch == 2
    assert "does not say which run" in told[0]
    assert "run" in torch.load(path, weights_only=True)


def test_a_write_that_fails_leaves_the_older_checkpoint_whole(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    checkpoint.save({"w": torch.ones(2)}, path)

    class Full:
        def __reduce__(self) -> object:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        checkpoint.save({"w": torch.zeros(2), "x": Full()}, path)  # type: ignore[dict-item]
    assert torch.equal(torch.load(path, weights_only=True)["w"], torch.ones(2))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    run = fitter(config, data, tmp_path)
    one_epoch(run)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with torch.no_grad():
        run.net.head.weight[0, 0] = float("inf")
    with pytest.raises(Diverged, match="epoch 1: loss"):
        run.run(resume=False, report=quiet)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def scores_that_fall(run: Fitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epoch scores best, as when a network learns its set by heart."""
    actual = run._score
    monkeypatch.setattr(run, "_score", lambda: {**actual(), "score": -1.0 - run.state.epoch})


def test_without_folds_the_best_epoch_counts_and_patience_ends_the_run(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = altered(config.optimisation, epochs=(5, 5), patience=1)
    run = fitter(altered(config, optimisation=patient), data, tmp_path)
    scores_that_fall(run, monkeypatch)
    best = run.run(resume=False, report=quiet)
    assert (run.state.epoch, run.state.best_epoch) == (2, 0)
    last = run.average.state_dict()
    assert any(not torch.equal(last[n], v) for n, v in best.state_dict().items())


def test_with_folds_the_reported_fold_chooses_neither_epoch_nor_length(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = altered(config.optimisation, epochs=(3, 3), patience=1)
    run = fitter(with_folds(altered(config, optimisation=patient)), data, tmp_path)
    scores_that_fall(run, monkeypatch)
    found = run.run(resume=False, report=quiet).state_dict()
    assert run.state.epoch == 3
    stored = torch.load(tmp_path / "best.pt", weights_only=True)
    for name, value in run.average.state_dict().items():
        assert torch.equal(found[name], value), name
        assert torch.equal(stored[name], value), name


def test_with_folds_the_best_epoch_of_an_older_version_is_not_taken(
    config: ImagingConfig, data: LabelledImages, tmp_path: Path
) -> None:
    config = with_folds(config)
    finished = fitter(config, data, tmp_path)
    finished.run(resume=False, report=quiet)
    checkpoint.save(build_net(config).state_dict(), tmp_path / "best.pt")
    again = fitter(config, data, tmp_path).run(resume=True, report=quiet).state_dict()
    for name, value in finished.average.state_dict().items():
        assert torch.equal(again[name], value), name
