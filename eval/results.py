"""Measures every figure of docs/results.md again and writes the page.

    FENZHEN_DATA=../shared/data python -m eval.results

Runs the documented commands as a user would and keeps each beside what it printed.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.collections import MAKERS
from eval.run import evaluated_models

FENZHEN = str(Path(sys.executable).parent / "fenzhen")
PAGE = Path("docs/results.md")
BENCHES = (
    "department --data {data}/text/zh_consult_internal.dev.jsonl.gz",
    "department --data {data}/text/zh_consult_internal.dev.jsonl.gz --text-only",
    "department --data {data}/text/zh_consult_all.dev.jsonl",
    "disposition --data {data}/text/red_flag_vignettes.jsonl",
    "disposition --data {data}/text/red_flag_vignettes_adversarial.jsonl",
    "disposition --data eval/cases/messages.jsonl",
    "disposition --data eval/cases/vignettes.jsonl",
    "crisis --data eval/cases/crisis.jsonl",
    "intent --data {data}/text/cblue/KUAKE-QIC.dev.jsonl.gz",
    "interview --data {data}/text/avey_vignettes.dev.jsonl",
    "acuity --data {data}/text/ktas.dev.jsonl",
    "acuity --data {data}/text/esi_handbook.train.jsonl",
    "imaging --task cxr_pneumonia --data {data}/imaging/cxr_pneumonia.dev.zip --stress",
    "imaging --task ct_nodule --data {data}/imaging/ct_nodule.dev.zip",
    "imaging --task skin_lesion --data {data}/imaging/skin_ham10000.dev.zip",
    "imaging --task retinamnist --data {data}/imaging/retinamnist.npz",
    "foreign --task cxr_pneumonia --data {data}/imaging",
    "foreign --task fundus_dr --data {data}/imaging",
    "foreign --task skin_lesion --data {data}/imaging",
    "foreign --task ct_nodule --data {data}/imaging",
    "findings --data {data}/text/zh_dialogue_status.dev.jsonl.gz",
    "findings --data {data}/text/cblue/CMeEE.dev.jsonl.gz",
    "guidelines --data eval/cases/guideline_lookups.zh.jsonl",
    "guidelines --data eval/cases/guideline_lookups.en.jsonl",
    "guidelines --data eval/cases/guideline_questions.zh.jsonl",
    "guidelines --data eval/cases/guideline_questions.en.jsonl",
    "answers --data {data}/text/mediqa2019_qa.train.jsonl.gz",
    "answers --data {data}/text/mediqa2019_qa.dev.jsonl.gz",
    "relevance --data {data}/text/cblue/KUAKE-QTR.dev.jsonl.gz",
    "relevance --data {data}/text/cblue/KUAKE-QQR.dev.jsonl.gz",
    "relevance --data {data}/text/cblue/CHIP-STS.dev.jsonl.gz",
)
MOST_READY_S = 120.0


@dataclass(frozen=True)
class Server:
    """A running server, what it took to start and what it holds."""

    url: str
    keys: dict[str, str]
    first_ready_s: float
    later_ready_s: float
    resident_mb: float


def _run(command: list[str]) -> str:
    print("$", " ".join(command), file=sys.stderr, flush=True)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _serving(var: str, port: int) -> Iterator[tuple[float, int]]:
    """A server process: seconds until ready, and its process id."""
    environment = os.environ | {"FENZHEN_VAR": var, "FENZHEN_LOG_LEVEL": "warning"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [FENZHEN, "serve", "--port", str(port)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - start > MOST_READY_S:
                    raise RuntimeError("the server did not start") from None
                time.sleep(0.02)
        yield time.perf_counter() - start, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no resident size")


@contextmanager
def _measured_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as var:
        port = _free_port()
        with _serving(var, port) as (first, _):
            pass
        environment = os.environ | {"FENZHEN_VAR": var}
        keys = {}
        for role in ("patient_app", "physician"):
            add = [FENZHEN, "user", "add", "Latency", "--role", role]
            keys[role] = subprocess.run(
                add, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()
        with _serving(var, port) as (later, pid):
            yield Server(f"http://127.0.0.1:{port}", keys, first, later, _resident_mb(pid))


def _latency(data: Path) -> tuple[dict[str, Any], Server]:
    with tempfile.TemporaryDirectory() as folder, _measured_server() as server:
        with zipfile.ZipFile(data / "imaging" / "cxr_pneumonia.dev.zip") as archive:
            name = next(n for n in archive.namelist() if n.startswith("images/"))
            picture = Path(folder) / "xray"
            picture.write_bytes(archive.read(name))
        command = [sys.executable, "-m", "eval.latency", "--url", server.url]
        command += ["--key", server.keys["patient_app"]]
        command += ["--physician", server.keys["physician"], "--xray", str(picture)]
        return json.loads(_run(command).splitlines()[-1]), server


def _table(found: dict[str, Any]) -> list[str]:
    lines = ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, value in found["metrics"].items():
        interval = found["intervals"].get(name)
        shown = "" if interval is None else f"{interval[0]:.3f} – {interval[1]:.3f}"
        figure = "–" if value is None else f"{value:.3f}" if isinstance(value, float) else value
        lines.append(f"| {name} | {figure} | {shown} |")
    return lines


def _stress(found: dict[str, Any]) -> list[str]:
    stress: dict[str, dict[str, float]] = found["stress"]
    names = ("auc", "sensitivity", "specificity")
    lines = ["", "| stress | " + " | ".join(names) + " |", "|---|---|---|---|"]
    for transform, row in stress.items():
        cells = (f"{row[n]:.3f}" for n in names)
        lines.append(f"| {transform} | " + " | ".join(cells) + " |")
    return lines


def _cross_validated() -> list[str]:
    """What the trainers measured on held-out folds, from the manifests of the shipped models."""
    lines = [
        "## Cross-validated figures",
        "",
        "Where a shipped model learned from all of a set, the figure that counts is that of "
        "held-out folds. `fenzhen train NAME` measures it again and writes it into the card.",
        "",
        "| model | measured on | metric | value | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for entry in evaluated_models().entries():
        for group, metrics in entry.manifest.metrics.items():
            folds = entry.manifest.measured_on == "cross-validation" and (
                group == "dev" or group.startswith("dev/head/")
            )
            if "cross-validation" not in group and not folds:
                continue
            for name, metric in metrics.items():
                low, high = metric.low, metric.high
                interval = "" if low is None or high is None else f"{low:.3f} – {high:.3f}"
                whole = metric.value.is_integer() and low is None
                figure = f"{metric.value:.0f}" if whole else f"{metric.value:.3f}"
                model = f"{entry.manifest.name} {entry.manifest.version}"
                part = group.replace("dev", "folds", 1) if folds else group
                lines.append(f"| {model} | {part} | {name} | {figure} | {interval} |")
    return [*lines, ""]


def _turn() -> list[str]:
    """One turn in process, on one core."""
    found = json.loads(
        _run(["env", "OMP_NUM_THREADS=1", sys.executable, "-m", "eval.turn"]).splitlines()[-1]
    )
    lines = ["## turn: one turn of triage in process, processor time on one core", ""]
    lines += ["```sh", "OMP_NUM_THREADS=1 python -m eval.turn", "```", ""]
    lines += ["| part | p50 ms | p99 ms |", "|---|---|---|"]
    lines += [f"| {part} | {row['p50']:.1f} | {row['p99']:.1f} |" for part, row in found.items()]
    return [*lines, ""]


def _retrieval(collection: str, data: Path) -> list[str]:
    """Search over a collection made from the public sets."""
    make = f"python -m eval.collections {collection} {collection} --data-dir $FENZHEN_DATA"
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / collection)
        _run([sys.executable, "-m", "eval.collections", collection, out, "--data-dir", str(data)])
        found = json.loads(
            _run([FENZHEN, "eval", "retrieval", "--data", out, "--json"]).splitlines()[-1]
        )
    commands = [make, f"fenzhen eval retrieval --data {collection} --json"]
    return _section(f"retrieval: {collection}", commands, found)


def _bench(bench: str, data: Path) -> list[str]:
    """One benchmark as a user runs it, under the name of its task or of its file."""
    arguments = bench.format(data=data).split()
    found = json.loads(_run([FENZHEN, "eval", *arguments, "--json"]).splitlines()[-1])
    task = arguments[arguments.index("--task") + 1] if "--task" in arguments else None
    command = f"fenzhen eval {bench.format(data='$FENZHEN_DATA')} --json"
    return _section(f"{arguments[0]}: {task or Path(found['file']).name}", [command], found)


def _section(title: str, commands: list[str], found: dict[str, Any]) -> list[str]:
    """A result under its title, beside the commands that gave it."""
    lines = [f"## {title}", "", "```sh", *commands, "```", ""]
    models = ", ".join(f"{k} {v}" for k, v in found["models"].items()) or "rules and lexicon"
    lines += [f"{found['n']} cases, {found['seconds']:.0f} s, {models}.", ""]
    lines += [f"**Mind:** {warning}\n" for warning in found.get("warnings", ())]
    lines += _table(found)
    if found.get("stress"):
        lines += _stress(found)
    return [*lines, ""]


def _throughput() -> list[str]:
    """The engine beside ONNX Runtime alone, in process."""
    found = _run([sys.executable, "-m", "serving.engine.throughput"])
    rows = [json.loads(line) for line in found.splitlines()]
    lines = ["## throughput: rows per second of a network, in process", ""]
    lines += ["```sh", "python -m serving.engine.throughput", "```", ""]
    lines += ["| model | ONNX Runtime alone | threads x batch | engine | share | one caller adds |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['bare'][row['best']]:.0f} | {row['best']}"
            f" | {row['engine']:.0f} | {row['share']:.1%} | {row['added_ms']:.2f} ms |"
        )
    return [*lines, ""]


def main() -> None:
    """Measure and write."""
    data = Path(os.environ.get("FENZHEN_DATA", "../shared/data"))
    parts = [
        "# Measured results",
        "",
        f"Written by `make results` on {time.strftime('%Y-%m-%d')}, {platform.machine()}, "
        f"{os.cpu_count()} cores, no accelerator. All on the dev parts of the data sets; what each "
        "model learned from is in its card.",
        "",
    ]
    for bench in BENCHES:
        parts += _bench(bench, data)
    for collection in MAKERS:
        parts += _retrieval(collection, data)
    parts += _cross_validated()
    parts += _turn()
    parts += _throughput()
    figures, server = _latency(data)
    parts += ["## latency: one caller over HTTP on loopback", ""]
    parts += ["```sh", "python -m eval.latency --key KEY --physician KEY --xray FILE", "```", ""]
    parts += ["| call | p50 ms | p90 ms | p99 ms |", "|---|---|---|---|"]
    for name, row in figures.items():
        parts.append(f"| {name} | {row['p50']:.1f} | {row['p90']:.1f} | {row['p99']:.1f} |")
    parts += [
        "",
        f"First start ready in {server.first_ready_s:.1f} s (after set-up), a later one in "
        f"{server.later_ready_s:.1f} s; {server.resident_mb:.0f} MB resident when ready.",
        "",
    ]
    notes = PAGE.with_name("results-notes.md")
    if notes.is_file():
        parts.append(notes.read_text(encoding="utf-8"))
    PAGE.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
