"""The comparison on the one peer that the test environment has, and how servers are ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from eval.result import BenchmarkError
from eval.serving import contestants, load
from eval.serving.compare import Plan, compare
from eval.serving.contestants import PEERS, PEERS_FOLDER, Peer
from eval.serving.page import write_page
from eval.serving.processes import Command, free_port, serving
from eval.serving.workloads import CEILING, OUTPUT, Workload, workloads
from models.repository import SHIPPED, ModelRepository

PLAN = Plan(rounds=1, seconds=1.0, warm_s=0.2, callers=(1, 4), threads=1)
HERE = Path(sys.executable)
SERVER = """
import http.server, os, subprocess, sys, time
daemon = [sys.executable, '-c', 'import time; time.sleep(600)']
print('daemon', subprocess.Popen(daemon, start_new_session=True).pid, flush=True)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Ready).serve_forever()
"""


@pytest.fixture(scope="module")
def repository() -> ModelRepository:
    return ModelRepository(SHIPPED, allow_noncommercial=True)


def python(code: str) -> Command:
    port = free_port()
    return Command([sys.executable, "-c", code, str(port)], port, "/", {}, start_s=60)


def measured(tmp_path: Path, what: list[Workload], *peers: Peer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    compare(peers, what, PLAN, tmp_path, rows.append)
    return rows


def test_a_comparison_of_the_peer_at_hand(tmp_path: Path, repository: ModelRepository) -> None:
    what = workloads(["fake"], repository)
    rows = measured(tmp_path, what, Peer("fastapi", tmp_path, HERE))
    points = [row for row in rows if "callers" in row]
    assert [row["callers"] for row in points] == [1, 4]
    for row in points:
        assert set(row["statuses"]) == {"200"}
        assert row["latency_ms"]["p50"] >= 5.5 * row["callers"] * 0.9, "one after the other"
        assert row["throughput"] < 1000 / 5.5, "no faster than one model without batches"
        assert 0 <= row["idle"] <= 1
    write_page(rows, what, tmp_path / "report.md")
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    shares = [line.split("|")[6].strip() for line in page.splitlines() if "| fastapi |" in line]
    assert shares == [f"{row['throughput'] / CEILING:.1%}" for row in points]


@pytest.mark.parametrize("name", ["triage", "xray"])
def test_a_peer_answers_with_what_the_network_says(
    name: str, tmp_path: Path, repository: ModelRepository
) -> None:
    """Rows of one batch, padded to the longest, are what each is alone."""
    (work,) = workloads([name], repository)
    assert work.entry
    session = ort.InferenceSession(str(work.entry.network), providers=["CPUExecutionProvider"])
    code = (
        "import sys, workloads\n"
        "network = workloads.Network(sys.argv[1], 1)\n"
        "bodies = [open(path, 'rb').read() for path in sys.argv[2:]]\n"
        "print(b'[' + b','.join(network.run(bodies)) + b']')\n"
    ).replace("print(", "sys.stdout.buffer.write(")
    paths = []
    for number, body in enumerate(work.bodies):
        path = tmp_path / str(number)
        path.write_bytes(body.data)
        paths.append(str(path))
    said = subprocess.run(
        [sys.executable, "-c", code, str(work.entry.network), *paths],
        env=os.environ | {"PYTHONPATH": str(PEERS_FOLDER / "shared")},
        capture_output=True,
        check=True,
    )
    sys.path.insert(0, str(PEERS_FOLDER / "shared"))
    try:
        from workloads import tensors  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    for body, row in zip(work.bodies, json.loads(said.stdout), strict=True):
        alone = session.run([OUTPUT], tensors(body.data))[0][0]
        assert np.allclose(row[OUTPUT], alone, atol=1e-4)


def test_who_cannot_be_installed_is_reported_and_the_others_are_measured(
    tmp_path: Path, repository: ModelRepository
) -> None:
    absent = Peer("mosec", tmp_path, tmp_path / "nobody")
    rows = measured(
        tmp_path, workloads(["echo"], repository), absent, Peer("fastapi", tmp_path, HERE)
    )
    assert [row["contestant"] for row in rows if "error" in row] == ["mosec"]
    assert {row["contestant"] for row in rows if "throughput" in row} == {"fastapi"}


def test_who_does_not_start_is_reported_with_its_last_words(
    tmp_path: Path, repository: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "peers" / "fastapi"
    broken.mkdir(parents=True)
    (broken / "app.py").write_text("raise SystemExit('no such queue')")
    monkeypatch.setattr(contestants, "PEERS_FOLDER", tmp_path / "peers")
    rows = measured(tmp_path, workloads(["echo"], repository), Peer("fastapi", tmp_path, HERE))
    assert rows[-1]["workload"] == "echo"
    assert "ended with 1: no such queue" in rows[-1]["error"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BenchmarkError])
def test_the_end_takes_daemons_along(error: type[BaseException], tmp_path: Path) -> None:
    """Brokers and proxies leave their parent's session; none may outlive the measurement."""
    log = tmp_path / "log"

    def interrupted() -> None:
        with serving(python(SERVER), log) as running:
            assert _lives(int(log.read_text().split()[1]))
            assert running.memory_mb() > 5
            raise error

    with pytest.raises(error):
        interrupted()
    daemon = int(log.read_text().split()[1])
    deadline = time.monotonic() + 10
    while _lives(daemon):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_peer_has_its_app_and_pins_its_versions() -> None:
    for name in PEERS:
        lines = (PEERS_FOLDER / name / "requirements.txt").read_text().splitlines()
        pins = [line for line in lines if not line.startswith("#")]
        assert all("==" in line for line in pins)
        assert any(line.partition("[")[0].partition("=")[0] == name for line in pins)
        app = (PEERS_FOLDER / name / "app.py").read_text()
        assert "Settings:" in app
        assert "import eval" not in app
        assert "from eval" not in app


@pytest.fixture(scope="module")
def fastapi_url(
    tmp_path_factory: pytest.TempPathFactory, repository: ModelRepository
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("fastapi")
    (echo,) = workloads(["echo"], repository)
    with Peer("fastapi", folder, HERE).serve(echo, 1, folder) as served:
        yield served.url


@pytest.mark.parametrize("how", [["--callers", "2"], ["--rate", "50", "--class", "bulk=1"]])
def test_the_command_line_ends_with_one_line_of_json(
    how: list[str], fastapi_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load.main([fastapi_url, *how, "--seconds", "1", "--warm", "0", "--deadline-ms", "1000"])
    line = json.loads(capsys.readouterr().out)
    assert set(line["statuses"]) == {"200"}
    assert line["goodput"] > 20


@pytest.mark.parametrize(
    "wrong",
    [
        ["http://h/", "--callers", "0"],
        ["ftp://h/", "--callers", "1"],
        ["http://h/", "--rate", "1", "--class", "bulk"],
        ["http://h/", "--rate", "1", "--header", "no colon"],
        ["http://h/", "--rate", "1", "--data", "@/no/such/file"],
    ],
)
def test_arguments_that_make_no_sense_get_a_sentence(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        load.main(wrong)
    assert error.value.code == 2
    assert "error: " in capsys.readouterr().err
