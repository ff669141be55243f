"""`fenzhen dicom-listen`: receive images from modalities that speak DICOM only."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from serving.cli_tools import err, fail

KEY = "FENZHEN_KEY"


def listen(
    calling: Annotated[
        list[str], typer.Option(help="AE title of a modality that may store; repeatable.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 11112,
    ae_title: Annotated[str, typer.Option(help="AE title of this service.")] = "FENZHEN",
    server: Annotated[str, typer.Option(help="Address of the server.")] = "http://127.0.0.1:8000",
    max_associations: Annotated[int, typer.Option(min=1, help="Most connections at once.")] = 8,
    max_bytes: Annotated[int, typer.Option(min=1000, help="Largest instance.")] = 32_000_000,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to try a server that is busy or away.")
    ] = 25.0,
) -> None:
    """Receive DICOM images (C-STORE, C-ECHO) and hand them to the server, with FENZHEN_KEY."""
    try:
        from serving.dicom_handover import HandOver
        from serving.dicom_listener import Listener, ListenerOptions
    except ModuleNotFoundError as error:
        if error.name not in ("pynetdicom", "httpx"):
            raise
        raise fail("the listener needs its extra: pip install 'fenzhen[dicom]'") from error
    from serving import logs

    logs.configure("info")
    key = os.environ.get(KEY, "")
    if not key:
        raise fail(f"put the key of an imaging_device user into {KEY} (fenzhen user add)")
    hand_over = HandOver(server, key, patience)
    options = ListenerOptions(host, port, ae_title, tuple(calling), max_associations, max_bytes)
    try:
        listener = Listener(options, hand_over)
        listening = listener.start()
    except (ValueError, OSError) as error:
        raise fail(f"cannot listen: {error}") from error
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    err.print(f"{ae_title} listens on {host}:{listening}", highlight=False)
    stopping.wait()
    hand_over.close()
    listener.stop()
