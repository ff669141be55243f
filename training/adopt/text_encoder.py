"""A Hugging Face text encoder, exported to ONNX, as the model that search embeds texts with.

The directory holds `model.onnx` (or `onnx/model.onnx`), `tokenizer.json` and `config.json`, as
`optimum-cli export onnx` writes them and sentence-transformers publishes them. Pooling and the
normalisation to length 1 are put into the graph, so that the server runs one network and adds
nothing. No code of the directory runs: `modules.json` is read, its modules are not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.backends.onnx import OnnxBackend
from models.batching import join
from models.errors import ModelError, ModelRefused
from models.manifest import Manifest, TensorSpec
from models.text.subwords import TOKENISER, SubwordReader
from training.adopt.about import About
from training.adopt.classifier import card_sections
from training.export import NETWORK, write_artifact

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_STATES = ("last_hidden_state", "token_embeddings")
_READY = "sentence_embedding"
_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
_TEXTS = (
    "头痛三天，没有发热。",
    "headache",
    "My left knee has hurt since I fell down the stairs. " * 3,
)
# A graph in fp32 keeps within 1e-5 (design rule 2), one in fp16 within this.
_BATCH_TOLERANCE = 1e-3


def write_text_encoder(source: Path, about: About, folder: Path) -> Manifest:
    """Write the encoder in the directory `source` into the empty `folder`; raises ModelRefused."""
    if not about.languages:
        raise ModelRefused("about.yaml lacks languages")
    path = next((p for p in (source / NETWORK, source / "onnx" / NETWORK) if p.is_file()), None)
    if path is None or not (source / TOKENISER).is_file():
        raise ModelRefused(f"{source.name} holds no {NETWORK} with a {TOKENISER}")
    _plain_modules(source)
    model = _read(path)
    inputs = _inputs(model)
    _pool(model, about.text.pooling or _stated_pooling(source))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ModelRefused(f"{NETWORK} is no sound graph: {str(error)[:300]}") from error
    onnx.save(model, str(folder / NETWORK))
    shutil.copyfile(source / TOKENISER, folder / TOKENISER)
    dimension, differences = _try(folder, about.text.longest, inputs)
    manifest = Manifest(
        name=about.name,
        version=about.version,
        task="embedding",
        title=about.title,
        inputs=[TensorSpec(name=n, dtype="int64", shape=[-1, -1]) for n in inputs],
        outputs=[TensorSpec(name="embedding", dtype="float32", shape=[-1, dimension])],
        preprocessing={"longest": about.text.longest},
        languages=list(about.languages),
        training_sets=list(about.training_sets),
        metrics=about.metrics,
        parity=differences,
        files={},
        notes=["Added from elsewhere; how well search works with it was not measured here.",
               *about.notes],
    )  # fmt: skip
    return write_artifact(folder, manifest, card_sections(about), [TOKENISER])


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is not readable: {error}") from error


def _plain_modules(source: Path) -> None:
    """sentence-transformers may add layers after the encoder: those would be left out unseen."""
    path = source / "modules.json"
    found = _json(path) if path.is_file() else []
    for module in found if isinstance(found, list) else []:
        kind = str(module.get("type")) if isinstance(module, Mapping) else "None"
        if kind.rpartition(".")[2] not in _MODULES:
            raise ModelRefused(f"modules.json adds {kind}, which is not in {NETWORK}")


def _stated_pooling(source: Path) -> str:
    path = source / "1_Pooling" / "config.json"
    stated = _json(path) if path.is_file() else {}
    modes = {
        k for k, v in (stated if isinstance(stated, dict) else {}).items()
        if k.startswith("pooling_mode_") and v is True
    }  # fmt: skip
    if modes == {"pooling_mode_cls_token"}:
        return "cls"
    if modes == {"pooling_mode_mean_tokens"}:
        return "mean"
    raise ModelRefused(
        "neither 1_Pooling/config.json nor about.yaml says text.pooling: mean or cls"
    )


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ModelRefused(f"{NETWORK} is not readable: {type(error).__name__}") from error
    if any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer):
        raise ModelRefused(f"{NETWORK} keeps weights in other files: export it as one file")
    return model


def _inputs(model: onnx.ModelProto) -> tuple[str, ...]:
    initial = {t.name for t in model.graph.initializer}
    found = {v.name: v.type.tensor_type for v in model.graph.input if v.name not in initial}
    if not set(found) <= set(_INPUTS) or not {"input_ids", "attention_mask"} <= set(found):
        raise ModelRefused(f"the network takes {', '.join(found)}, not {', '.join(_INPUTS)}")
    for name, kind in found.items():
        dynamic = len(kind.shape.dim) == 2 and not any(
            d.HasField("dim_value") for d in kind.shape.dim
        )
        if kind.elem_type != TensorProto.INT64 or not dynamic:
            raise ModelRefused(f"{name} is not int64 of any batch and any length")
    return tuple(name for name in _INPUTS if name in found)


def _pool(model: onnx.ModelProto, pooling: str) -> None:
    """Replace the outputs by `embedding` [N, D] of length 1, in place.

    The mean over pieces is left as a sum: normalising takes any factor out.
    """
    graph = model.graph
    given = {v.name: v.type.tensor_type.elem_type for v in graph.output}
    states = next((n for n in _STATES if n in given), None)
    if states is None and _READY not in given:
        raise ModelRefused(f"the network returns {', '.join(given)}, not {' or '.join(_STATES)}")
    chosen = _READY if states is None else states
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, dtype=np.int64), f"fenzhen_{name}")
        for name, value in (("row", [0, 1, -1]), ("flat", [0, -1]), ("first", 0))
    )
    nodes = [helper.make_node("Cast", [chosen], ["fenzhen_states"], to=TensorProto.FLOAT)]
    if chosen == _READY:
        nodes.append(helper.make_node("Identity", ["fenzhen_states"], ["fenzhen_pooled"]))
    elif pooling == "cls":
        nodes.append(
            helper.make_node(
                "Gather", ["fenzhen_states", "fenzhen_first"], ["fenzhen_pooled"], axis=1
            )
        )
    else:
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["fenzhen_mask"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["fenzhen_mask", "fenzhen_row"], ["fenzhen_weights"]),
            helper.make_node("MatMul", ["fenzhen_weights", "fenzhen_states"], ["fenzhen_sum"]),
            helper.make_node("Reshape", ["fenzhen_sum", "fenzhen_flat"], ["fenzhen_pooled"]),
        ]
    nodes.append(
        helper.make_node("LpNormalization", ["fenzhen_pooled"], ["embedding"], axis=1, p=2)
    )
    graph.node.extend(nodes)
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", "dimension"])
    )


def _try(folder: Path, longest: int, inputs: tuple[str, ...]) -> tuple[int, dict[str, float]]:
    """Embed a few texts, one of them too long; returns the vectors' length and differences."""
    try:
        reader = SubwordReader(folder / TOKENISER, longest, inputs)
        backend = OnnxBackend(folder / NETWORK)
        rows = [reader.tensors(text) for text in (*_TEXTS, _TEXTS[0] * longest)]
        alone = np.concatenate([backend.run(row)["embedding"] for row in rows])
        together = backend.run(join(rows))["embedding"]
    except (ValueError, ModelError) as error:
        raise ModelRefused(
            f"the network cannot read its tokeniser's pieces, up to {longest} of them ({error})"
        ) from error
    except Exception as error:
        raise ModelRefused(f"{NETWORK} does not load: {str(error)[:300]}") from error
    if alone.ndim != 2 or not np.isfinite(alone).all() or not np.linalg.norm(alone, axis=1).all():
        raise ModelRefused("the network's vectors are not finite, or zero")
    difference = float(np.abs(together - alone).max())
    if difference > _BATCH_TOLERANCE:
        raise ModelRefused(
            f"a text's vector changes by {difference:.3g} with its batch (dynamic quantisation"
            " does that): export it in fp32"
        )
    return alone.shape[1], {"batch_invariance_max_abs": difference, "rows": float(len(rows))}
