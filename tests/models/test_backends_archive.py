"""A torch program from a stranger: damaged, or with more in it than a network."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch._C import PyTorchFileReader, PyTorchFileWriter  # noqa: E402

from models.backends.torch_program import PROGRAM, load_program, write_program  # noqa: E402
from models.errors import ModelIntegrityError  # noqa: E402

pytestmark = pytest.mark.torch
GRAPH = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
Records = dict[str, bytes]


class Small(torch.nn.Module):
    """x [N, L] to one number per row, by way of sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        rows, length = x.shape
        return self.layer(x.reshape(rows * length, 1)).view(rows, 3 * length).sum(1)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An honest program."""
    write_program(Small().eval(), {"x": torch.ones(2, 5)}, ["y"], tmp_path / PROGRAM)
    return tmp_path / PROGRAM


def records(path: Path) -> Records:
    reader = PyTorchFileReader(str(path))
    return {name: reader.get_record(name) for name in reader.get_all_records()}


def write(path: Path, parts: Records) -> None:
    writer = PyTorchFileWriter(str(path))
    for name, data in parts.items():
        if not name.startswith((".data/", "version", "byteorder")):
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()


class Payload:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.trace, "was here")


def graph(parts: Records, change: Callable[[Any], None]) -> Records:
    """The archive with its graph changed."""
    found = json.loads(parts[GRAPH])
    change(found)
    return parts | {GRAPH: json.dumps(found).encode()}


def first_call(found: Any) -> Any:
    return found["graph_module"]["graph"]["nodes"][-1]


def test_an_honest_program_is_loaded_and_names_its_tensors(program: Path) -> None:
    found = load_program(program)
    assert (found.inputs, found.outputs) == (("x",), ("y",))
    for shape in ((1, 1), (1, 2), (7, 3)):
        assert found([torch.ones(shape)])[0].shape == (shape[0],)


def test_a_program_says_nothing_of_the_machine_that_made_it(program: Path) -> None:
    parts = records(program)
    assert str(Path(__file__).parent.parent.parent).encode() not in b"".join(parts.values())
    assert parts["data/sample_inputs/model.pt"] == b""


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "no graph", "flipped"])
def test_a_damaged_program_is_refused_in_one_sentence(program: Path, damage: str) -> None:
    whole = program.read_bytes()
    if damage == "no graph":
        write(program, {n: d for n, d in records(program).items() if n != GRAPH})
    else:
        at = whole.index(b"graph_module") + 1
        program.write_bytes({
            "cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a program" * 50,
            "flipped": whole[:at] + b"\xff\xff" + whole[at + 2 :],
        }[damage])  # fmt: skip
    with pytest.raises(ModelIntegrityError, match=r"model\.pt2 is (damaged|refused)"):
        load_program(program)


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"there is no model\.pt2"):
        load_program(tmp_path / PROGRAM)


def test_sample_inputs_that_torch_would_unpickle_are_refused(program: Path, tmp_path: Path) -> None:
    trace, buffer = tmp_path / "trace", io.BytesIO()
    torch.save(Payload(trace), buffer)
    write(program, records(program) | {"data/sample_inputs/model.pt": buffer.getvalue()})
    with pytest.raises(ModelIntegrityError, match="sample inputs"):
        load_program(program)
    assert not trace.exists()
    # What the guard is for: torch itself runs it, whatever it says afterwards.
    with suppress(Exception):
        torch.export.load(program)
    assert trace.read_text() == "was here"


def test_pickled_weights_are_refused(program: Path, tmp_path: Path) -> None:
    parts = records(program)
    config = json.loads(parts[WEIGHTS])
    name = next(iter(config["config"]))
    config["config"][name]["use_pickle"] = True
    trace, buffer = tmp_path / "trace", io.BytesIO()
    torch.save(Payload(trace), buffer)
    weight = f"data/weights/{config['config'][name]['path_name']}"
    write(program, parts | {WEIGHTS: json.dumps(config).encode(), weight: buffer.getvalue()})
    with pytest.raises(ModelIntegrityError, match="a weight is pickled"):
        load_program(program)
    assert not trace.exists()


@pytest.mark.parametrize(
    "record",
    [
        "data/constants/custom_obj_0",
        "data/constants/opaque_obj_0",
        "data/weights/model.pt",
        "data/aotinductor/model/model.so",
        "models/other.json",
        "data/weights/../../x",
    ],
)
def test_records_that_no_program_of_ours_has_are_refused(program: Path, record: str) -> None:
    write(program, records(program) | {record: pickle.dumps([])})
    with pytest.raises(ModelIntegrityError, match="has no place in it"):
        load_program(program)


@pytest.mark.parametrize(
    "target",
    [
        "torch.hub.load",
        "torch.ops.aten.from_file.default",
        "torch.ops.higher_order.while_loop",
        "torch.ops.prim.device.default",
        "_operator.methodcaller",
        "_operator.attrgetter",
        "math.sqrt",
        "#subclass_call",
        "os.system",
        7,
    ],
)
def test_operators_that_are_no_arithmetic_are_refused(program: Path, target: object) -> None:
    def change(found: Any) -> None:
        first_call(found)["target"] = target

    write(program, graph(records(program), change))
    with pytest.raises(ModelIntegrityError, match=r"the operator .* is not one of those"):
        load_program(program)


@pytest.mark.parametrize(
    "expression",
    ["__import__('os').system('id')", "Symbol('s1').func.__globals__", "s1 if s1 else s1", "", 3],
)
def test_sizes_that_are_more_than_arithmetic_are_refused(program: Path, expression: object) -> None:
    def change(found: Any) -> None:
        sizes = found["graph_module"]["graph"]["sym_int_values"]
        sizes[next(iter(sizes))] = {"as_expr": {"expr_str": expression, "hint": None}}

    write(program, graph(records(program), change))
    with pytest.raises(ModelIntegrityError, match="a size is"):
        load_program(program)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda g: g.update(guards_code=["exit()"]), "guards"),
        (lambda g: first_call(g)["metadata"].update(source_fn_stack="a,os.system"), "metadata"),
        (lambda g: first_call(g)["inputs"][0].update(arg={"as_operator": "torch.hub"}), "argument"),
        (lambda g: first_call(g)["inputs"][0].update(arg={"as_custom_obj": {}}), "argument"),
        (lambda g: g.update(range_constraints={"__import__('os')": {}}), "no plain name"),
        (
            lambda g: g["graph_module"]["module_call_graph"][0]["signature"].update(
                out_spec='[1, {"type": "os.system", "context": null, "children_spec": []}]'
            ),
            "no plain tensors",
        ),
        (lambda g: g.update(deep=_nested(200)), "nested too deeply"),
    ],
)
def test_whatever_else_torch_would_look_up_is_refused(
    program: Path, change: Callable[[Any], None], why: str
) -> None:
    write(program, graph(records(program), change))
    with pytest.raises(ModelIntegrityError, match=f"model.pt2 is refused: .*{why}"):
        load_program(program)


def test_names_that_are_no_names_are_refused(program: Path) -> None:
    write(program, records(program) | {"extra/tensors.json": b'{"inputs": "x"}'})
    with pytest.raises(ModelIntegrityError, match="does not name its inputs"):
        load_program(program)


def _nested(depth: int) -> object:
    found: object = 0
    for _ in range(depth):
        found = [found]
    return found
