"""The reranker: its rows, a small run, and fewer buckets of piece pairs than it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from knowledge_base.cards import cards  # noqa: E402
from models.repository import ModelRepository  # noqa: E402
from models.reranker import HostedReranker  # noqa: E402
from tests.training.text.conftest import config_of  # noqa: E402
from training.text import train_reranker  # noqa: E402
from training.text.finetune import Pretrained  # noqa: E402
from training.text.reranker_data import CardPassages, asked_elsewhere, card_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.data]


def test_siblings_are_of_the_card_and_of_other_sections() -> None:
    passages = CardPassages()
    siblings = passages.siblings(("burns#self_care:1", "burns#refer:1"))
    assert siblings
    assert {card_of(p) for p in siblings} == {"burns"}
    assert not [p for p in siblings if p.startswith(("burns#self_care", "burns#refer"))]
    assert cards()["burns"].head.title["zh"] in passages.text("burns#ask:1", "zh")


def test_elsewhere_each_right_answer_has_wrong_ones_beside_it(data_dir: Path) -> None:
    seen, held = asked_elsewhere(data_dir, {"medquad": 40, "diseases": 40}, 1, 300)
    for part in (seen, held):
        right = sum(row.right for row in part)
        assert 0 < right < len(part) <= 4 * right
    assert not {row.question for row in seen if row.right} & {
        row.question for row in held if row.right
    }


def test_fewer_pairs_are_averages_and_another_number_is_refused(base: Path) -> None:
    pretrained = Pretrained(base)
    whole, folded = pretrained.encoder(), pretrained.encoder(pairs=10_000)
    expected = whole.pair.weight.view(2, 10_000, -1).mean(dim=0)
    torch.testing.assert_close(folded.pair.weight, expected)
    with pytest.raises(ValueError, match="no divisor"):
        pretrained.encoder(pairs=7_777)


def test_a_small_run_ends_in_a_model_that_judges(
    data_dir: Path, base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "reranker" / "1"
    config = config_of("reranker.yaml", base, tmp_path)
    measured = train_reranker.train(config, data_dir, folder, smoke=True, torch_program=True)
    assert 0 <= measured["held-out questions"]["auc"] <= 1
    reranker = HostedReranker.of(ModelRepository(tmp_path).get("reranker"))
    texts = ["烧伤用流动凉水冲20分钟。", "胸痛请马上拨打120。" * 40, ""]
    alone = [float(reranker.probabilities("烧伤怎么办", [text])[0]) for text in texts]
    together = reranker.probabilities("烧伤怎么办", texts)
    assert together.tolist() == pytest.approx(alone, abs=1e-5)
    assert all(0 < p < 1 for p in alone)
