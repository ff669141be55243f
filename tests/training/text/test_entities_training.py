"""The entity tagger: its loss, its thresholds, its lists of names, and a small training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from models.backends.onnx import OnnxBackend  # noqa: E402
from models.repository import ModelRepository  # noqa: E402
from models.tasks.base import run_alone  # noqa: E402
from models.tasks.entities import EntitiesTask  # noqa: E402
from models.text.entities import TAGS, span_probabilities, tags_of  # noqa: E402
from models.text.names import CODES, NameLists  # noqa: E402
from training.text import pretrain, train_entities  # noqa: E402
from training.text.encoder import Encoder, Shape  # noqa: E402
from training.text.entities_data import KINDS  # noqa: E402
from training.text.entities_measure import (  # noqa: E402
    Candidate,
    best_thresholds,
    held_out_counts,
)
from training.text.name_lists import parts  # noqa: E402
from training.text.tagger import Packed, Tagger, tag_loss  # noqa: E402

pytestmark = pytest.mark.torch

CONFIGS = Path(__file__).parents[3] / "training" / "configs"
SHAPE = Shape(pieces=50, pairs=64, width=16, layers=1, heads=2, feed_forward=32, longest=40)


def tagger() -> Tagger:
    torch.manual_seed(0)
    net = Tagger(Encoder(SHAPE), lists=3, kinds=2, width=8, buckets=97, unseen=0.3)
    return net.eval()


def test_padding_changes_no_score() -> None:
    net, ids = tagger(), torch.randint(1, 50, (1, 9))
    names = torch.randint(0, CODES**3, (1, 9))
    more = (torch.nn.functional.pad(x, (0, 5)) for x in (ids, names))
    with torch.inference_mode():
        assert torch.allclose(net(ids, names), net(*more)[:, :9], atol=1e-5)


def test_listed_names_and_neighbours_change_the_scores() -> None:
    net, ids = tagger(), torch.randint(1, 50, (1, 9))
    none, some = torch.zeros_like(ids), torch.zeros_like(ids)
    some[0, 4] = CODES * 2
    with torch.inference_mode():
        assert not torch.allclose(net(ids, none)[0, 4], net(ids, some)[0, 4])


def test_one_tensor_holds_both_inputs() -> None:
    net = tagger()
    ids, names = np.array([2, 7, 49]), np.array([0, CODES**3 - 1, 5])
    packed = Packed(net)
    with torch.inference_mode():
        together = packed(torch.from_numpy(packed.pack(ids, names)[None]))
        apart = net(torch.from_numpy(ids[None]), torch.from_numpy(names[None]))
    assert torch.equal(together, apart)


def test_the_loss_is_the_chains_own_likelihood() -> None:
    scores = torch.randn(1, 1 + 4, TAGS)
    tags = tags_of([(1, 2)], 4)
    loss = tag_loss(scores, [tags[None]], torch.ones(1))
    chain = scores[:, 1:].numpy()
    clear = chain + np.eye(TAGS, dtype=np.float32)[tags[None]] * 50
    odds = span_probabilities(chain, 4)[0, 1, 1]
    assert float(loss) * 4 >= -np.log(odds) - 1e-4  # the tags say more than that one span
    clearer = tag_loss(
        torch.from_numpy(np.pad(clear, ((0, 0), (1, 0), (0, 0)))),
        [tags[None]],
        torch.ones(1),
    )
    assert float(clearer) < 1e-4 < float(loss)


def candidates() -> list[Candidate]:
    """Body sites right above 0.5, symptoms right above 0.2, on ten lines."""
    rows = []
    for line in range(10):
        for probability in (0.15, 0.3, 0.6):
            rows.append(Candidate(line, "bod", probability, probability > 0.5))
            rows.append(Candidate(line, "sym", probability, probability > 0.2))
    return rows


def test_thresholds_are_those_of_the_best_f1() -> None:
    marks = [{("bod", 0, 1), ("sym", 0, 1), ("sym", 3, 4)} for _ in range(10)]
    found = best_thresholds(candidates(), marks)
    assert set(found) == set(KINDS)
    assert 0.15 <= found["sym"] < 0.3 <= found["bod"] < 0.6
    counts = held_out_counts(candidates(), marks, np.arange(10) % 2)
    assert counts[:, KINDS.index("sym")].tolist() == [[2, 2, 2]] * 10
    assert counts[:, KINDS.index("bod")].tolist() == [[1, 1, 1]] * 10


def test_a_fold_is_read_with_the_thresholds_of_the_others() -> None:
    marks = [{("bod", 0, 1)} for _ in range(4)]
    # On lines 0 and 1 only sure spans are right, on lines 2 and 3 every span is.
    rows = [Candidate(n, "bod", p, n > 1 or p > 0.5) for n in range(4) for p in (0.3, 0.6)]
    counts = held_out_counts(rows, marks, np.array([0, 0, 1, 1]))[:, KINDS.index("bod"), 1]
    assert counts.tolist() == [2, 2, 1, 1]


def test_a_body_part_is_what_stands_before_the_names_of_its_changes() -> None:
    sure, others = parts(
        ["先天性膀胱畸形", "膀胱功能异常", "膀胱结石", "晶状体混浊", "视网膜脱离症", "视神经萎缩"]
    )
    assert sure == {"膀胱"}
    assert others == {"视神经"}


@pytest.mark.data
def test_the_tagger_is_trained_into_a_model_that_answers(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "encoder"
    pretrain.pretrain(CONFIGS / "encoder.yaml", data_dir, base, smoke=True)
    few = NameLists.of({"finding": ["发热"], "part": ["肺"]})
    monkeypatch.setattr(train_entities, "name_lists", lambda _: few)
    config = yaml.safe_load((CONFIGS / "entities.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "entities.yaml"
    path.write_text(yaml.safe_dump(config | {"encoder": str(base)}), encoding="utf-8")
    folder = tmp_path / "models" / "entities" / "1"
    found = train_entities.train(path, data_dir, folder, smoke=True, torch_program=True)
    assert "CMeEE.dev cross-validation, sym and bod" in found
    entry = ModelRepository(tmp_path / "models", allow_noncommercial=True).get("entities")
    assert entry.manifest.noncommercial
    assert set(entry.manifest.thresholds) == set(KINDS)
    assert entry.manifest.parity["torch_onnx_max_abs"] < 1e-3
    assert entry.manifest.parity["batch_invariance_max_abs"] < 1e-4
    task = EntitiesTask(entry.manifest, entry.folder)
    text = "患儿发热，肺部感染。"
    for entity in run_alone(task, OnnxBackend(entry.network), text):
        assert 0 <= entity.start < entity.end <= len(text)
        assert entity.kind in KINDS
