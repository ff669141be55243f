"""The text encoder: padding, resuming, storing small, and the models that start from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.training.text.conftest import CONFIGS, config_of

torch = pytest.importorskip("torch")

from knowledge_base.lexicon.intents import intents  # noqa: E402
from models.backends.onnx import OnnxBackend  # noqa: E402
from models.manifest import read_manifest  # noqa: E402
from models.repository import ModelRepository  # noqa: E402
from models.tasks.base import run_alone  # noqa: E402
from models.tasks.intent import IntentTask  # noqa: E402
from models.tasks.urgency import UrgencyTask  # noqa: E402
from models.text.pieces import BREAK, PieceReader  # noqa: E402
from models.triage.learned import Thresholds  # noqa: E402
from training.export import export_onnx  # noqa: E402
from training.text import pretrain, train_intent, train_urgency  # noqa: E402
from training.text.corpus import learn_pieces  # noqa: E402
from training.text.encoder import Encoder, Shape  # noqa: E402
from training.text.finetune import batches, padded  # noqa: E402
from training.text.stored import StoredEmbedding, stored  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = Shape(pieces=50, pairs=64, width=16, layers=2, heads=2, feed_forward=32, longest=40)


def test_padding_changes_no_state() -> None:
    torch.manual_seed(0)
    net = Encoder(SHAPE).eval()
    ids = torch.randint(1, 50, (1, 9))
    wider = torch.nn.functional.pad(ids, (0, 6))
    with torch.inference_mode():
        assert torch.allclose(net(ids), net(wider)[:, :9], atol=1e-5)


def test_the_order_of_pieces_matters() -> None:
    net = Encoder(SHAPE).eval()
    with torch.inference_mode():
        assert not torch.allclose(
            net(torch.tensor([[2, 7, 9]])).mean(1), net(torch.tensor([[2, 9, 7]])).mean(1)
        )


def test_the_stored_file_is_small_and_computes_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = Shape(2000, 3000, 64, 2, 4, 128, 40)
    net = Encoder(shape).eval()
    small = stored(net)
    ids = torch.randint(1, 2000, (4, 20))
    export_onnx(small, {"ids": ids}, {"states": (0, 1)}, tmp_path / "m.onnx")
    given = OnnxBackend(tmp_path / "m.onnx", threads=1).run({"ids": ids.numpy()})["states"]
    with torch.inference_mode():
        assert np.abs(given - small(ids).numpy()).max() < 1e-4
        assert np.corrcoef(given.ravel(), net(ids).numpy().ravel())[0, 1] > 0.99
    weights = sum(p.numel() for p in net.parameters())
    assert (tmp_path / "m.onnx").stat().st_size < weights


def test_a_table_in_four_bits_keeps_its_rows() -> None:
    torch.manual_seed(0)
    table = torch.nn.Embedding(30, 64)
    with torch.no_grad():
        table.weight[4] = 0.0
        table.weight[5, 3] = 40.0
    small = StoredEmbedding(table.weight)
    rows = small(torch.arange(30))
    error = (rows - table.weight).abs()
    assert rows[4].abs().max() == 0.0
    assert error[:4].max() < 0.5 * table.weight.abs().max()
    # One huge value spoils its own group of 32 and no other.
    assert error[5, 32:].max() < 0.4
    assert abs(float(rows[5, 3]) - 40.0) < 0.05 * 40.0
    assert small.get_buffer("packed").numel() == 30 * 32


def test_pieces_keep_their_span_in_the_words_as_given(tmp_path: Path) -> None:
    learn_pieces(iter(["胸口痛三天 chest pain fever"] * 5), 100).save(str(tmp_path / "p.json"))
    text = "胸口痛３天，Chest  pain"
    pieces = PieceReader(tmp_path / "p.json", 40)(text)
    assert len(pieces.ids) == len(pieces.spans) + 1
    words = [text[begin:end] for begin, end in pieces.spans]
    assert words[:4] == ["胸", "口", "痛", "３"]
    assert "".join(words).lower() == "".join(text.split()).lower()
    two = PieceReader(tmp_path / "p.json", 40)("胸", "痛")
    assert two.ids.tolist().count(PieceReader(tmp_path / "p.json", 40).stop) == 1
    assert two.spans[-1] == (1, 2)
    assert BREAK == "[SEP]"


def test_batches_hold_every_row_once_and_rows_of_like_length() -> None:
    lengths = list(itertools.islice(itertools.cycle([3, 40, 12, 90]), 200))
    parts = batches(lengths, 16, np.random.default_rng(0))
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    waste = sum(max(lengths[i] for i in p) * len(p) - sum(lengths[i] for i in p) for p in parts)
    assert waste < 0.25 * sum(lengths)
    assert padded([np.arange(1, 4), np.arange(1, 20)]).shape == (2, 32)


@pytest.mark.data
def test_the_learned_urgency_is_trained_into_a_model_that_answers(
    base: Path, data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "urgency" / "2"
    config = config_of("urgency.yaml", base, tmp_path)
    train_urgency.train(config, data_dir, folder, smoke=True, torch_program=True)
    entry = ModelRepository(tmp_path / "models").get("urgency")
    assert entry.manifest.parity["batch_invariance_max_abs"] < 1e-4
    assert Thresholds.of(entry.manifest.thresholds).strong == 0.95
    task = UrgencyTask(entry.manifest, entry.folder)
    found = run_alone(task, OnnxBackend(entry.network), "胸口像压着石头" * 60)
    assert list(found.at_most) == sorted(found.at_most)
    assert 0 <= found.crisis <= 1


@pytest.mark.data
def test_pretraining_resumes_and_the_intent_model_starts_from_it(
    base: Path, tmp_path: Path, data_dir: Path
) -> None:
    state = torch.load(base / pretrain.STATE, weights_only=True)
    assert state["step"] == 3
    again = pretrain.pretrain(CONFIGS / "encoder.yaml", data_dir, base, smoke=True, resume=True)
    assert np.isnan(again["loss"])  # nothing was left to do
    config = config_of("intent.yaml", base, tmp_path)
    folder = tmp_path / "models" / "intent" / "1"
    found = train_intent.train(config, data_dir, folder, smoke=True, torch_program=True)
    assert found["cblue/KUAKE-QIC.dev"]["accuracy"] > 0.15  # three steps of pretraining
    manifest = read_manifest(folder)
    assert manifest.noncommercial
    assert manifest.parity["torch_onnx_max_abs"] < 1e-3
    assert manifest.parity["batch_invariance_max_abs"] < 1e-3
    entry = ModelRepository(tmp_path / "models", allow_noncommercial=True).get("intent")
    task = IntentTask(entry.manifest, entry.folder)
    read = run_alone(task, OnnxBackend(entry.network), "感冒发烧怎么办")
    assert {code for code, _ in read} == set(intents())
    assert sum(p for _, p in read) == pytest.approx(1.0)
