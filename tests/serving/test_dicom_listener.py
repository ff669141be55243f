"""C-STORE: what a modality sends reaches the server, and what does not it is told of."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation
from pynetdicom import AE

from serving.dicom_handover import HandOver, Status
from serving.dicom_listener import Listener, ListenerOptions
from serving.storage.codes import Role
from tests.serving.dicoms import instance

if TYPE_CHECKING:
    from tests.serving.live import Live

pytest_plugins = ["tests.serving.live"]

VERIFICATION = "1.2.840.10008.1.1"
DX = str(DigitalXRayImageStorageForPresentation)
Start = Callable[..., int]


@pytest.fixture
def listen() -> Iterator[Start]:
    """Starts listeners on free ports; they end with the test."""
    ends: list[Callable[[], None]] = []

    def started(url: str, key: str, *, patience_s: float = 0.0, **options: Any) -> int:
        hand_over = HandOver(url, key, patience_s)
        listener = Listener(
            ListenerOptions("127.0.0.1", 0, "FENZHEN", ("CR2",), **options), hand_over
        )
        ends.extend((listener.stop, hand_over.close))
        return listener.start()

    yield started
    for end in reversed(ends):
        end()


def send(
    port: int, *datasets: FileDataset, calling: str = "CR2", called: str = "FENZHEN"
) -> list[int | None] | None:
    """The status of each instance, None for no answer; None when there is no association."""
    modality = AE(calling)
    modality.add_requested_context(DX)
    modality.add_requested_context(VERIFICATION)
    association = modality.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    try:
        answers: list[int | None] = []
        for dataset in datasets:
            answer = association.send_c_store(dataset)
            answers.append(answer.Status if "Status" in answer else None)
        return answers
    finally:
        if association.is_established:
            association.release()


def echo(port: int) -> int:
    modality = AE("CR2")
    modality.add_requested_context(VERIFICATION)
    association = modality.associate("127.0.0.1", port, ae_title="FENZHEN")
    status = int(association.send_c_echo().Status)
    association.release()
    return status


def film(**options: Any) -> FileDataset:
    return instance(sop_class=DX, **options)


def holds(live: Live, dataset: FileDataset) -> bool:
    url = f"{live.url}/dicom-web/studies/{dataset.StudyInstanceUID}/instances"
    return httpx.get(url, headers=live.headers(), timeout=60).status_code == 200


def test_a_modality_stores_films_and_asks_whether_we_listen(live: Live, listen: Start) -> None:
    port = listen(live.url, live.keys[Role.IMAGING_DEVICE])
    assert echo(port) == 0x0000
    films = [film(seed=300), film(seed=301)]
    assert send(port, *films) == [0x0000, 0x0000]
    assert all(holds(live, one) for one in films)
    assert send(port, films[0]) == [0x0000]


def test_only_known_titles_may_associate(live: Live, listen: Start) -> None:
    port = listen(live.url, live.keys[Role.IMAGING_DEVICE])
    assert send(port, calling="STRANGER") is None
    assert send(port, called="SOMEONE") is None
    assert send(port) == []


def test_what_the_server_refuses_the_modality_is_told_why(live: Live, listen: Start) -> None:
    port = listen(live.url, live.keys[Role.IMAGING_DEVICE])
    empty = film(seed=302)
    del empty.PixelData
    other = film(seed=303)
    taken = film(seed=304, uid=other.SOPInstanceUID)
    assert send(port, empty, other, taken) == [0x0122, 0x0000, 0x0111]


def test_a_server_that_is_away_makes_the_modality_keep_its_film(listen: Start) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert send(listen(url, "key"), film(seed=305)) == [Status.OUT_OF_RESOURCES]


def test_a_key_that_may_not_store_is_said_so(live: Live, listen: Start) -> None:
    port = listen(live.url, live.keys[Role.PATIENT_APP])
    dataset = film(seed=306)
    assert send(port, dataset) == [Status.NOT_AUTHORISED]
    assert not holds(live, dataset)


def test_a_busy_server_is_asked_again(listen: Start) -> None:
    """A server that is busy first and stores then: the modality hears of success only."""
    with _Answers([b"HTTP/1.1 503 Busy\r\nRetry-After: 0", b"HTTP/1.1 200 OK"]) as answers:
        port = listen(answers.url, "key", patience_s=20.0)
        assert send(port, film(seed=307)) == [0x0000]
        assert answers.served == 2


def test_an_instance_beyond_the_limit_ends_the_connection(live: Live, listen: Start) -> None:
    port = listen(live.url, live.keys[Role.IMAGING_DEVICE], max_bytes=1000)
    large = film(seed=308, size=(1200, 1200))
    assert send(port, large) == [None]
    assert not holds(live, large)
    assert echo(port) == 0x0000


def test_a_length_that_nobody_can_send_is_not_believed(listen: Start) -> None:
    port = listen("http://127.0.0.1:9", "key", max_bytes=1000)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as hostile:
        hostile.sendall(b"\x01\x00\xff\xff\xff\xff" + b"\0" * 100)
        hostile.settimeout(20)
        assert hostile.recv(1024)[:1] in (b"", b"\x07")
    assert echo(port) == 0x0000


def test_a_listener_without_calling_titles_does_not_start() -> None:
    with pytest.raises(ValueError, match="calling"):
        Listener(ListenerOptions("127.0.0.1", 0, "FENZHEN", ()), lambda _file: 0)


def test_the_command_listens_until_it_is_told_to_stop(live: Live) -> None:
    command = [sys.executable, "-m", "serving.cli", "dicom-listen", "--port", "0",
               "--calling", "CR2", "--server", live.url]  # fmt: skip
    without = subprocess.run(
        command, env=os.environ | {"FENZHEN_KEY": ""}, capture_output=True, text=True, timeout=120
    )
    assert without.returncode == 1
    assert "FENZHEN_KEY" in without.stderr
    key = live.keys[Role.IMAGING_DEVICE]
    process = subprocess.Popen(
        command, env=os.environ | {"FENZHEN_KEY": key}, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "listens on" in line)
        found = re.search(r":(\d+)", line)
        assert found is not None
        dataset = film(seed=309)
        assert send(int(found[1]), dataset) == [0x0000]
        assert holds(live, dataset)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert key not in errors
    assert "WANG" not in errors


class _Answers:
    """A server that gives one raw HTTP answer after another."""

    def __init__(self, heads: list[bytes]) -> None:
        self._heads = heads
        self.served = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> _Answers:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        self._socket.close()

    def _serve(self) -> None:
        for head in self._heads:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rb") as request:
                length = 0
                for line in iter(request.readline, b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                request.read(length)
                connection.sendall(head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                self.served += 1
