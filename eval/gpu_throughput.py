"""Images and texts per second on a GPU: the torch backend, and a bare torch loop.

    python -m eval.gpu_throughput [--device cpu] [--precision fp16] [--seconds 5] [--rounds 5]

The bare loop runs the same program, batch after batch, on a batch that lies on the GPU already
(`bare`), and on one that comes from the processor's memory each time and whose answer goes back
there, as any server must (`bare, copied`). The backend gets its batches from `--callers` threads.
All in turn, several rounds; medians, and the ratio within each round. How busy the GPU was is
NVML's word, where nvidia-ml-py is installed. Networks: eval/gpu_networks.py, random weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from eval.gpu_networks import Kind, batch_of, make
from models.backends import Tensors
from models.backends.execution import Eager
from models.backends.options import BackendOptions
from models.backends.torch import TorchBackend
from models.backends.torch_precision import cast_weights
from models.backends.torch_program import PROGRAM, load_program
from models.errors import ModelError
from models.repository import ModelEntry

BATCHES: dict[Kind, int] = {"images": 64, "texts": 256}
_SAMPLE_S = 0.2


@dataclass(frozen=True)
class Throughput:
    """Rows per second, medians of the rounds; `share` is the backend's over `bare`.

    `busy` is the mean share of time in which the GPU ran anything while the backend was loaded;
    None where nobody says.
    """

    network: Kind
    batch: int
    bare: float
    bare_copied: float
    backend: float
    share: float
    share_of_copied: float
    busy: float | None
    rounds: list[tuple[float, float, float]]


def measure(
    entry: ModelEntry, options: BackendOptions, *, rows: int, seconds: float, rounds: int,
    callers: int,
) -> Throughput:  # fmt: skip
    """`rounds` turns of `seconds` for each of the three, on full batches of `rows`."""
    kind: Kind = "images" if entry.manifest.length_buckets == [] else "texts"
    backend = TorchBackend(entry.folder / PROGRAM, entry.manifest, options)
    # The backend sets how exactly this process computes on GPUs; the bare loop has the same.
    place = options.device if options.device == "cpu" else f"cuda:{options.device_id}"
    program = load_program(entry.folder / PROGRAM, place)
    cast_weights(program.module, options.precision)
    eager = Eager(program, options.device, options.precision)
    batch = batch_of(entry, rows)
    there = [torch.from_numpy(value).to(place) for value in batch.values()]

    def copied() -> None:
        moved = [torch.from_numpy(value).to(place) for value in batch.values()]
        for output in eager.outputs(moved):
            output.cpu()

    found, busy = [], []
    for _ in track(range(rounds), kind, console=Console(stderr=True)):
        bare = _rate(lambda: eager.outputs(there), rows, seconds, place)
        with_copies = _rate(copied, rows, seconds, place)
        with Busy(place) as gpu:
            through = _through(backend, batch, rows, seconds, callers)
        busy.append(gpu.share)
        found.append((bare, with_copies, through))
    backend.close()
    said = [share for share in busy if share is not None]
    bare, with_copies, through = (statistics.median(column) for column in zip(*found, strict=True))
    return Throughput(
        kind,
        rows,
        bare=round(bare, 1),
        bare_copied=round(with_copies, 1),
        backend=round(through, 1),
        share=round(statistics.median(b / a for a, _, b in found), 3),
        share_of_copied=round(statistics.median(b / a for _, a, b in found), 3),
        busy=round(statistics.mean(said), 3) if said else None,
        rounds=[(round(a, 1), round(b, 1), round(c, 1)) for a, b, c in found],
    )


def _rate(run: Callable[[], object], rows: int, seconds: float, place: str) -> float:
    """Rows per second of a loop. A GPU is waited for at the end: it computes behind the loop."""
    run()
    _wait(place)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        run()
        batches += 1
        if batches % 16 == 0:
            _wait(place)
    _wait(place)
    return batches * rows / (time.perf_counter() - start)


def _through(
    backend: TorchBackend, batch: Tensors, rows: int, seconds: float, callers: int
) -> float:
    backend.run(batch)
    start = time.perf_counter()

    def caller(_: int) -> int:
        batches = 0
        while time.perf_counter() - start < seconds:
            backend.run(batch)
            batches += 1
        return batches

    with ThreadPoolExecutor(callers) as pool:
        batches = sum(pool.map(caller, range(callers)))
    return batches * rows / (time.perf_counter() - start)


def _wait(place: str) -> None:
    if place != "cpu":
        torch.cuda.synchronize(place)


class Busy:
    """Samples NVML's utilisation of a GPU; `share` is None where there is neither."""

    def __init__(self, place: str) -> None:
        self._place, self._samples = place, list[int]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Busy:
        if self._place != "cpu":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def share(self) -> float | None:
        """The mean of the samples, 0 to 1."""
        return statistics.mean(self._samples) / 100 if self._samples else None

    def _sample(self) -> None:
        # The first samples speak of the time before.
        while not self._over.wait(_SAMPLE_S):
            try:
                self._samples.append(torch.cuda.utilization(self._place))
            except (ImportError, RuntimeError):  # no nvidia-ml-py, or a driver without NVML
                return


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure; a table for people on stderr, one line of JSON per network on stdout."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp16")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=2)
    given = parser.parse_args(arguments)
    small, console = given.device == "cpu", Console(stderr=True)
    table = Table("network", "batch", "bare", "bare, copied", "backend", "share", "GPU busy")
    with tempfile.TemporaryDirectory(prefix="fenzhen-gpu-") as scratch:
        for kind, full in BATCHES.items():
            rows = 4 if small else full
            options = BackendOptions(device=given.device, precision=given.precision, max_batch=rows)
            try:
                found = measure(
                    make(kind, Path(scratch), small=small), options, rows=rows,
                    seconds=given.seconds, rounds=given.rounds, callers=given.callers,
                )  # fmt: skip
            except ModelError as error:
                parser.exit(1, f"{error}; --device cpu runs the same code on small networks\n")
            busy = "not measured" if found.busy is None else f"{found.busy:.0%}"
            table.add_row(kind, str(rows), f"{found.bare:.0f}/s", f"{found.bare_copied:.0f}/s",
                          f"{found.backend:.0f}/s", f"{found.share:.1%}", busy)  # fmt: skip
            sys.stdout.write(json.dumps(asdict(found) | _where(given)) + "\n")
    console.print(table)
    if small:
        console.print(
            "Not measured: anything of a GPU. Without one there are no CUDA graphs, no pinned "
            "copies and no full-sized networks; these figures show that the code runs."
        )


def _where(given: argparse.Namespace) -> dict[str, object]:
    gpu = torch.cuda.get_device_name() if given.device == "cuda" else None
    return {
        "device": given.device, "gpu": gpu, "precision": given.precision,
        "torch": torch.__version__, "callers": given.callers, "seconds": given.seconds,
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
