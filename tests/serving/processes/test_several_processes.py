"""A real server of several processes: it answers as one, and outlives any of its parts."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.multiprocess import MultiProcessCollector

from serving.storage.codes import Role
from tests.servers import ServerProcess
from tests.serving.processes.load import Load

if TYPE_CHECKING:
    from tests.serving.conftest import Api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BACK_S = 60.0


@dataclass
class Several(ServerProcess):
    """Two HTTP processes and the owner of the models."""

    keys: dict[Role, str] = field(default_factory=dict)

    def begin(self) -> None:
        temporary = self.var / "tmp"
        temporary.mkdir(parents=True)
        self.settings |= {
            "FENZHEN_WORKERS": "2",
            "FENZHEN_SYNTHETIC": "echo sleep:5+0.5n",
            "FENZHEN_LOG_LEVEL": "warning",
            "TMPDIR": str(temporary),
        }
        self.keys = {role: self.add_user(role.value, role) for role in Role}
        self.start()

    @property
    def folder(self) -> Path:
        (found,) = (self.var / "tmp").glob("fenzhen-*")
        return found

    def children(self) -> dict[str, list[int]]:
        """Ids of the supervisor's processes, by role."""
        assert self.process is not None
        found: dict[str, list[int]] = {"owner": [], "http": []}
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        for pid in sorted({int(n) for thread in threads for n in thread.read_text().split()}):
            counters = (self.folder / "metrics" / f"counter_{pid}.db").read_bytes()
            found["http" if b"fenzhen_blobs_swept" in counters else "owner"].append(pid)
        return found

    def answered_by(self, pid: int) -> float:
        """Requests that one process has answered."""
        file = self.folder / "metrics" / f"counter_{pid}.db"
        metrics = MultiProcessCollector.merge([str(file)], accumulate=False)
        return sum(
            sample.value
            for metric in metrics
            for sample in metric.samples
            if sample.name == "fenzhen_http_requests_total"
        )

    def metric(self, pattern: str) -> float:
        """Sum of the samples whose line starts with a pattern."""
        text = httpx.get(self.url + "/metrics", timeout=20).raise_for_status().text
        return sum(float(v) for v in re.findall(rf"^{pattern}.* (\S+)$", text, re.M))

    def load(self, callers: int = 8) -> Load:
        return Load(self.port, self.keys[Role.ADMINISTRATOR], callers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    made = Several(tmp_path_factory.mktemp("n"))
    try:
        made.begin()
        spread(made, "/health/ready")
        yield made
    finally:
        made.close()


def spread(server: Several, path: str, cookie: str | None = None) -> list[httpx.Response]:
    """The answers to a path over many connections at once: every HTTP process gives some."""
    headers = {} if cookie is None else {"Cookie": cookie}

    def ask(_: int) -> list[httpx.Response]:
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
            return [client.get(path)]

    def counts() -> list[float]:
        return [server.answered_by(pid) for pid in server.children()["http"]]

    answers: list[httpx.Response] = []
    before = counts()
    for _ in range(50):
        with ThreadPoolExecutor(16) as threads:
            answers += [one for many in threads.map(ask, range(16)) for one in many]
        now = counts()
        if len(now) == 2 and all(n > b for n, b in zip(now, [*before, 0, 0], strict=False)):
            return answers
    raise AssertionError("one process answers everything")


def test_the_answers_are_those_of_one_process(server: Several, api: Api) -> None:
    for text in ("头痛三天，有点发烧", "胸口压榨样疼痛半小时，出冷汗", "I have a sore throat"):
        asked = {"text": text, "age_years": 40, "sex": "male"}
        here = httpx.post(
            server.url + "/v1/triage",
            json=asked,
            headers={"Authorization": f"Bearer {server.keys[Role.PATIENT_APP]}"},
            timeout=20,
        )
        there = api.client.post("/v1/triage", json=asked, headers=api.app_user)
        assert here.status_code == there.status_code == 200
        one, other = here.json(), there.json()
        assert one["result"] == other["result"]


def test_a_session_is_one_in_all_processes_and_so_is_its_end(server: Several) -> None:
    key = server.keys[Role.PHYSICIAN]
    with httpx.Client(base_url=server.url, timeout=20) as client:
        client.post("/console/signin", data={"key": key})
        cookie = f"fenzhen_session={client.cookies['fenzhen_session']}"
        assert {a.status_code for a in spread(server, "/console", cookie)} == {200}
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/console").text)
        assert token is not None
        ended = client.post("/console/signout", data={"csrf": token[1]})
        assert ended.status_code in {302, 303}
    assert 200 not in {a.status_code for a in spread(server, "/console", cookie)}


def test_the_metrics_are_the_sum_of_all_processes(server: Several) -> None:
    line = 'fenzhen_http_requests_total.*route="/health/live"'
    before = server.metric(line)
    asked = len(spread(server, "/health/live"))
    assert server.metric(line) == before + asked
    before_load = {pid: server.answered_by(pid) for pid in server.children()["http"]}
    rows = 'fenzhen_engine_batch_size_sum.*model="sleep@1"'
    counted = server.metric(rows)
    with server.load(callers=16) as load:
        load.until("200", 400)
    assert set(load.seen) == {"200"}
    assert server.metric(rows) == counted + load.seen["200"]
    shares = [server.answered_by(pid) - n for pid, n in before_load.items()]
    assert min(shares) > 0.1 * sum(shares), "clients that come together are shared out"


def test_a_killed_http_process_costs_only_what_it_was_doing(server: Several) -> None:
    line = 'fenzhen_http_requests_total.*status="200"'
    before = server.metric(line)
    victim = server.children()["http"][0]
    with server.load() as load:
        load.until("200", 100)
        os.kill(victim, signal.SIGKILL)
        load.until("200", 100)
    assert set(load.seen) <= {"200", "cut"}
    assert load.seen["cut"] <= load.callers
    # What the dead process counted is not lost, nor counted twice.
    after = server.metric(line)
    assert before + load.seen["200"] <= after <= before + load.seen["200"] + load.callers + 2
    wait_for_two(server)


def wait_for_two(server: Several) -> None:
    deadline = time.monotonic() + BACK_S
    while True:
        try:
            spread(server, "/health/live")
        except (AssertionError, OSError):
            assert time.monotonic() < deadline
        else:
            return


def test_a_killed_owner_is_followed_by_another(server: Several) -> None:
    (owner,) = server.children()["owner"]
    with server.load() as load:
        load.until("200", 100)
        os.kill(owner, signal.SIGKILL)
        died = time.monotonic()
        emergency = httpx.post(
            server.url + "/v1/triage",
            json={"text": "胸口压榨样疼痛半小时，出冷汗", "age_years": 60, "sex": "male"},
            headers={"Authorization": f"Bearer {server.keys[Role.PATIENT_APP]}"},
            timeout=20,
        )
        answer = emergency.json()["result"]
        assert answer["disposition"]["level"] <= 2
        assert answer["models"] == {}
        unready = httpx.get(server.url + "/health/ready", timeout=20)
        assert unready.status_code == 503
        load.until("200", 200)
    # Those who waited for the next owner got their answer from it.
    assert set(load.seen) <= {"200", "503", "504"}
    gap = max(b - a for a, b in zip(load.succeeded, load.succeeded[1:], strict=False))
    print(f"owner back after {gap:.1f} s; {dict(load.seen)}; died at {died:.0f}")
    assert gap < BACK_S
    until_ready(server)


def until_ready(server: Several) -> None:
    deadline = time.monotonic() + BACK_S
    while not server._is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_replacing_the_http_processes_costs_nobody_anything(server: Several) -> None:
    before = set(server.children()["http"])
    assert server.process is not None
    with server.load() as load:
        load.until("200", 50)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 2 * BACK_S
        while before & alive():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        load.until("200", 50)
    assert set(load.seen) == {"200"}


def alive() -> set[int]:
    return {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()}


def test_a_server_that_is_told_to_stop_answers_what_it_took(server: Several) -> None:
    children = {pid for pids in server.children().values() for pid in pids}
    folder = server.folder
    with server.load() as load:
        load.until("200", 100)
        assert server.end() == 0
        load.until("refused", 1)
    assert set(load.seen) == {"200", "refused"}
    assert not children & alive()
    assert not folder.exists()


def test_no_process_outlives_a_supervisor_that_was_killed(server: Several) -> None:
    server.start()
    children = {pid for pids in server.children().values() for pid in pids}
    folder = server.folder
    server.end(signal.SIGKILL)
    deadline = time.monotonic() + BACK_S
    while children & alive() or folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
