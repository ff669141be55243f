"""A Hugging Face text encoder becomes the model that search embeds with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from models.adopt.check import check_folder  # noqa: E402
from models.backends.onnx import OnnxBackend  # noqa: E402
from models.embedder import HostedEmbedder  # noqa: E402
from models.errors import ModelRefused  # noqa: E402
from models.tasks.embedding import EmbeddingTask  # noqa: E402
from tests.training.adopt.layouts import save_text_encoder, write_about  # noqa: E402
from training.adopt.make import make_folder  # noqa: E402

pytestmark = pytest.mark.torch
ABOUT: dict[str, Any] = {
    "name": "embedding", "languages": ["zh", "en"], "text": {"longest": 32},
    "labels": [], "activation": None, "primary": None, "image": None,
}  # fmt: skip


def made(source: Path, **fields: Any) -> Path:
    folder = source.parent / "made"
    folder.mkdir(exist_ok=True)
    make_folder("text-encoder", source, write_about(source.parent, **ABOUT | fields), folder, 10**8)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_gets_the_vector_that_its_maker_means(tmp_path: Path, pooling: str) -> None:
    net, tokeniser = save_text_encoder(tmp_path / "encoder")
    folder = made(tmp_path / "encoder", text={"longest": 32, "pooling": pooling})
    manifest = check_folder(folder)
    embedder = HostedEmbedder(EmbeddingTask(manifest, folder), OnnxBackend(folder / "model.onnx"))
    texts = ["头痛 三天", "fever and a cough", "发热"]
    found = embedder.embed(texts)
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor([tokeniser.encode(text).ids])
        with torch.inference_mode():
            states = net(input_ids=ids).last_hidden_state[0]
        expected = states[0] if pooling == "cls" else states.mean(0)
        expected = (expected / expected.norm()).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-4)


def test_pooling_is_what_the_directory_says(tmp_path: Path) -> None:
    save_text_encoder(tmp_path / "encoder")
    with pytest.raises(ModelRefused, match=r"text\.pooling"):
        made(tmp_path / "encoder")
    (tmp_path / "encoder" / "1_Pooling").mkdir()
    (tmp_path / "encoder" / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    )
    assert check_folder(made(tmp_path / "encoder")).task == "embedding"


def test_layers_after_the_encoder_are_refused(tmp_path: Path) -> None:
    save_text_encoder(tmp_path / "encoder")
    (tmp_path / "encoder" / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Dense"}])
    )
    with pytest.raises(ModelRefused, match="Dense"):
        made(tmp_path / "encoder", text={"pooling": "mean", "longest": 32})


def test_more_pieces_than_the_network_reads_are_refused(tmp_path: Path) -> None:
    save_text_encoder(tmp_path / "encoder")
    with pytest.raises(ModelRefused, match="up to 512"):
        made(tmp_path / "encoder", text={"pooling": "mean", "longest": 512})


def test_a_broken_tokeniser_is_refused(tmp_path: Path) -> None:
    save_text_encoder(tmp_path / "encoder")
    (tmp_path / "encoder" / "tokenizer.json").write_text("{")
    with pytest.raises(ModelRefused, match="tokenizer"):
        made(tmp_path / "encoder", text={"pooling": "mean", "longest": 32})


def test_a_text_of_no_piece_has_a_vector_too(tmp_path: Path) -> None:
    save_text_encoder(tmp_path / "encoder", marks=False)
    folder = made(tmp_path / "encoder", text={"pooling": "mean", "longest": 32})
    task = EmbeddingTask(check_folder(folder), folder)
    backend = OnnxBackend(folder / "model.onnx")
    vector = task.finish("", backend.run(task.prepare("")))
    assert np.isfinite(vector).all()
