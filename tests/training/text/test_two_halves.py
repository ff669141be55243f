"""The classifier of two halves: what is exported is the calibrated product of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from models.backends.onnx import OnnxBackend  # noqa: E402
from models.text.ngrams import NgramFeaturiser  # noqa: E402
from models.text.pieces import PieceReader  # noqa: E402
from models.text.two_readings import TwoReadings  # noqa: E402
from training.export import export_onnx, pad, parity  # noqa: E402
from training.text.calibrate import Calibrator, HeldOut, fit_temperature  # noqa: E402
from training.text.corpus import learn_pieces  # noqa: E402
from training.text.department_data import Example  # noqa: E402
from training.text.department_reader import copies  # noqa: E402
from training.text.encoder import Encoder, Shape  # noqa: E402
from training.text.linear import Linear  # noqa: E402
from training.text.sparse import count_matrix, tf_idf  # noqa: E402
from training.text.text_reader import TextReader  # noqa: E402
from training.text.two_halves import TwoHalves  # noqa: E402

pytestmark = pytest.mark.torch

TEXTS = ["头痛三天", "咳嗽有黄痰，发烧", "chest pain when walking", "。", "腰疼" * 90]
CLASSES = 7


@pytest.fixture
def readings(tmp_path: Path) -> TwoReadings:
    learn_pieces(iter([*TEXTS, "fever"] * 5), 100).save(str(tmp_path / "pieces.json"))
    return TwoReadings(NgramFeaturiser(4096), PieceReader(tmp_path / "pieces.json"), 20)


def halves() -> tuple[Linear, Calibrator, TextReader]:
    rng = np.random.default_rng(3)
    torch.manual_seed(0)
    shape = Shape(pieces=200, pairs=64, width=32, layers=1, heads=2, feed_forward=32, longest=40)
    weight = rng.normal(size=(4096, CLASSES)).astype(np.float32)
    linear = Linear(weight, rng.normal(size=CLASSES).astype(np.float32))
    calibrator = Calibrator(-0.2, 0.3, rng.normal(size=CLASSES).astype(np.float32), 0.5)
    return linear, calibrator, TextReader(Encoder(shape), CLASSES).eval()


def test_the_network_multiplies_the_calibrated_halves(
    readings: TwoReadings, tmp_path: Path
) -> None:
    linear, calibrator, reader = halves()
    idf = np.ones(4096, dtype=np.float32)
    net = TwoHalves(linear, idf, calibrator, reader, share=0.5).eval()
    rows = [readings.tensors(text) for text in TEXTS]
    batch = {name: torch.from_numpy(value) for name, value in pad(rows).items()}
    with torch.inference_mode():
        given = net(*batch.values()).numpy()
        read = reader(batch["pieces"]).numpy()
    examples = [Example(text, (), "", "", "") for text in TEXTS]
    scores = linear.scores(tf_idf(count_matrix(examples, readings.featuriser), idf))
    wanted = calibrator.logits(scores) / calibrator.temperature + 0.5 * read
    # Tables are stored in four bits.
    assert np.corrcoef(given.ravel(), wanted.ravel())[0, 1] > 0.99
    example = {name: value[:2] for name, value in batch.items()}
    export_onnx(net, example, {"logits": (0,)}, tmp_path / "m.onnx")
    found = parity(net, OnnxBackend(tmp_path / "m.onnx", threads=1), rows, "logits")
    assert found["torch_onnx_max_abs"] < 1e-4
    assert found["batch_invariance_max_abs"] < 1e-4


def test_names_of_findings_stand_behind_a_break_and_long_texts_keep_both_ends(
    readings: TwoReadings,
) -> None:
    stop = readings.reader.stop
    assert stop not in readings.pieces("头痛三天")
    assert list(readings.pieces("头痛", ["发烧"])).count(stop) == 1
    long = readings.pieces("头" + "腰疼" * 90 + "痛")
    assert len(long) == 20
    assert long[1] == readings.pieces("头")[1]
    assert long[-1] == readings.pieces("痛")[1]


def test_rows_are_repeated_as_often_as_their_source_says() -> None:
    kept = {"all": 2.0, "some": 0.25, "none": 0.0}
    sources = ["all"] * 10 + ["some"] * 400 + ["none"] * 10
    chosen = copies(sources, kept, seed=1)
    counts = np.bincount(chosen, minlength=len(sources))
    assert (counts[:10] == 2).all()
    assert 70 < counts[10:410].sum() < 130
    assert counts[410:].sum() == 0


def test_the_temperature_softens_what_is_too_sure() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 600)
    scores = (2.0 * np.eye(3)[truth] + rng.normal(0, 1.0, (600, 3))).astype(np.float32)
    sure = HeldOut(scores, truth, np.eye(3), 1.0)
    surer = HeldOut(2 * scores, truth, np.eye(3), 1.0)
    assert fit_temperature(surer) == pytest.approx(2 * fit_temperature(sure), rel=0.1)
