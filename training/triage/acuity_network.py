"""The acuity ensemble as one ONNX graph: features in, logits of the averaged probabilities out.

Trees go into `TreeEnsembleRegressor` (ai.onnx.ml): the forest's leaves hold shares of levels, the
boosting's raw scores. Rows are independent of each other, so a row's answer never depends on its
batch. Thresholds are rounded down to float32, which keeps every split exactly where it was learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.calibration import Doubles
from training.triage.acuity_learn import CLIP, LEVELS, SMALLEST, Ensemble, Ordinal

OPSET, ML_OPSET = 17, 3
Numbers = NDArray[np.generic]
LeafValues = Callable[[Doubles], list[tuple[int, float]]]
"""From a leaf's value to (level from 0, weight) pairs."""


class Nodes(Protocol):
    """A fitted tree of scikit-learn (`tree_`): children are -1 at a leaf."""

    node_count: int
    feature: Numbers
    threshold: Numbers
    children_left: Numbers
    children_right: Numbers
    value: Doubles


@dataclass
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[np.generic] | float) -> str:
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output]))
        return output


@dataclass
class _Forest:
    """The flat attributes of a TreeEnsembleRegressor, filled tree by tree."""

    columns: dict[str, list[int] | list[float] | list[str]] = field(default_factory=dict)
    trees: int = 0

    def put(self, name: str, value: float | str) -> None:
        self.columns.setdefault(name, []).append(value)  # type: ignore[arg-type]

    def add(self, parts: Nodes, values: LeafValues) -> None:
        for node in range(parts.node_count):
            leaf = int(parts.children_left[node]) < 0
            self.put("nodes_treeids", self.trees)
            self.put("nodes_nodeids", node)
            self.put("nodes_featureids", 0 if leaf else int(parts.feature[node]))
            self.put("nodes_values", 0.0 if leaf else _rounded_down(float(parts.threshold[node])))
            self.put("nodes_modes", "LEAF" if leaf else "BRANCH_LEQ")
            self.put("nodes_truenodeids", 0 if leaf else int(parts.children_left[node]))
            self.put("nodes_falsenodeids", 0 if leaf else int(parts.children_right[node]))
            for level, weight in values(parts.value[node].ravel()) if leaf else ():
                self.put("target_treeids", self.trees)
                self.put("target_nodeids", node)
                self.put("target_ids", level)
                self.put("target_weights", weight)
        self.trees += 1

    def node(self, output: str, base: Sequence[float] = ()) -> onnx.NodeProto:
        extra = {"base_values": [float(b) for b in base]} if len(base) else {}
        return helper.make_node(
            "TreeEnsembleRegressor", ["features"], [output], domain="ai.onnx.ml",
            n_targets=LEVELS, aggregate_function="SUM", post_transform="NONE",
            **self.columns, **extra,
        )  # fmt: skip


def _rounded_down(threshold: float) -> float:
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))


def write_network(ensemble: Ensemble, path: Path) -> None:
    """Write the graph; raises onnx's error where it is not a valid one."""
    graph = _Graph()
    _ordinal(graph, ensemble.ordinal)
    forest = _Forest()
    share = 1.0 / len(ensemble.forest.estimators_)
    levels = [int(level) for level in ensemble.forest.classes_]
    for tree in ensemble.forest.estimators_:
        forest.add(tree.tree_, lambda value: _shares(value, levels, share))
    graph.nodes.append(forest.node("forest"))
    _boosting(graph, ensemble)
    graph.add("Sum", ["ordinal", "forest", "boosting"], "total")
    graph.add("Div", ["total", graph.constant("three", 3.0)], "mean")
    graph.add("Add", ["mean", graph.constant("smallest", SMALLEST)], "positive")
    graph.add("Log", ["positive"], "logits")
    width = len(ensemble.ordinal.mean)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "acuity",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", width])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LEVELS])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _shares(value: Doubles, levels: Sequence[int], share: float) -> list[tuple[int, float]]:
    parts = value / value.sum()
    return [(level, float(p) * share) for level, p in zip(levels, parts, strict=True) if p > 0]


def _step(value: Doubles, level: int, rate: float) -> list[tuple[int, float]]:
    return [(level, float(value[0]) * rate)]


def _ordinal(graph: _Graph, ordinal: Ordinal) -> None:
    graph.add("Sub", ["features", graph.constant("average", ordinal.mean)], "centred")
    graph.add("Div", ["centred", graph.constant("deviation", ordinal.deviation)], "scaled")
    graph.constant("low", -CLIP)
    graph.add("Clip", ["scaled", "low", graph.constant("high", CLIP)], "z")
    graph.add("MatMul", ["z", graph.constant("weight", ordinal.weight)], "product")
    graph.add("Add", ["product", graph.constant("bias", ordinal.bias)], "score")
    graph.add("Sigmoid", ["score"], "sigmoid")
    for k in range(LEVELS - 1):
        column = graph.constant(f"column_{k}", np.array([k], dtype=np.int64))
        graph.nodes.append(helper.make_node("Gather", ["sigmoid", column], [f"own_{k}"], axis=1))
        # At least as rare as every lower threshold: probabilities are never negative.
        below = [f"above_{k - 1}"] if k else []
        graph.add("Min", [f"own_{k}", *below], f"above_{k}")
        before = f"above_{k - 1}" if k else graph.constant("one", 1.0)
        graph.add("Sub", [before, f"above_{k}"], f"level_{k}")
    parts = [*(f"level_{k}" for k in range(LEVELS - 1)), f"above_{LEVELS - 2}"]
    graph.nodes.append(helper.make_node("Concat", parts, ["ordinal"], axis=1))


def _boosting(graph: _Graph, ensemble: Ensemble) -> None:
    boosting, trees = ensemble.boosting, _Forest()
    levels = [int(level) for level in boosting.classes_]
    rate = float(boosting.learning_rate)
    for tree_row in boosting.estimators_:
        for level, tree in zip(levels, tree_row, strict=True):
            trees.add(tree.tree_, partial(_step, level=level, rate=rate))
    # The scores before the first tree: what the whole says of a row less what its trees say.
    zeros = np.zeros((1, len(ensemble.ordinal.mean)), dtype=np.float32)
    said = rate * np.array([[t.predict(zeros)[0] for t in row] for row in boosting.estimators_])
    base = np.full(LEVELS, -1e9)
    base[levels] = boosting.decision_function(zeros)[0] - said.sum(axis=0)
    graph.nodes.append(trees.node("raw", base.tolist()))
    graph.nodes.append(helper.make_node("Softmax", ["raw"], ["boosting"], axis=1))
