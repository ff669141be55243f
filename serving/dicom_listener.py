"""C-STORE and C-ECHO for modalities that do not speak HTTP: a small gateway to the server.

Needs the `dicom` extra (pynetdicom). It keeps nothing: each instance goes to the server's STOW-RS
while the modality waits, and the modality is told what the server said. May run on another host.

A calling AE title is a name, not a proof: let only the modalities' network reach the port.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.transport import ThreadedAssociationServer

from models.imaging.dicom_codecs import PLUGINS
from serving.dicom_handover import Status

log = structlog.get_logger()

# pynetdicom's log repeats what associations carry.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)

_PDU_BYTES = 131_072
_OVERHEAD_BYTES = 1_000_000
"""Room for the association and for the headers of PDUs beside an instance's own bytes."""
_NETWORK_TIMEOUT_S = 30
_VERIFICATION = "1.2.840.10008.1.1"
_KNOWN = [context.abstract_syntax for context in AllStoragePresentationContexts]
_IMAGES = [uid for uid in _KNOWN if uid is not None and "Image Storage" in uid.name]


@dataclass(frozen=True)
class ListenerOptions:
    """Where to listen, and to whom. `calling`: the AE titles that may store; at least one."""

    host: str
    port: int
    ae_title: str
    calling: tuple[str, ...]
    max_associations: int = 8
    max_bytes: int = 32_000_000


class Listener:
    """A storage service class provider that hands every instance on."""

    def __init__(self, options: ListenerOptions, hand_over: Callable[[bytes], int]) -> None:
        """`hand_over` takes a Part 10 file and returns its DIMSE status; called by many threads.

        Raises ValueError for titles that are no AE titles, or none at all.
        """
        if not options.calling:
            raise ValueError("name at least one calling AE title")
        self._options = options
        self._hand_over = hand_over
        entity = AE(options.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(options.calling)
        entity.maximum_associations = options.max_associations
        entity.maximum_pdu_size = _PDU_BYTES
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = _NETWORK_TIMEOUT_S
        entity.add_supported_context(_VERIFICATION)
        for uid in _IMAGES:
            entity.add_supported_context(uid, list(PLUGINS))
        self._entity = entity
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> int:
        """Listen, in threads of its own; returns the port. Raises OSError when it is taken."""
        self._server = self._entity.start_server(
            (self._options.host, self._options.port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._bound),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_REJECTED, self._rejected),
            ],
        )
        assert self._server is not None
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """End all associations."""
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        try:
            status = self._hand_over(event.encoded_dataset())
        except Exception as error:
            log.error("hand-over failed", error=type(error).__name__)
            status = Status.PROCESSING_FAILURE
        budget = getattr(event.assoc.dul.socket, "recv", None)
        if isinstance(budget, _Budget):
            budget.renew()
        log.info("instance received", status=f"0x{status:04X}")
        return status

    def _bound(self, event: evt.Event) -> None:
        """Bound what a connection may make us hold: pynetdicom believes every length it is told."""
        socket = event.assoc.dul.socket
        if socket is not None:
            budget = _Budget(socket.recv, self._options.max_bytes + _OVERHEAD_BYTES)
            socket.recv = budget  # type: ignore[method-assign]

    def _rejected(self, _event: evt.Event) -> None:
        log.warning("association refused")


class _Budget:
    """Reading from a connection, at most so many bytes for each instance."""

    def __init__(self, receive: Callable[[int], bytearray], limit: int) -> None:
        self._receive = receive
        self._limit = self._left = limit

    def __call__(self, nr_bytes: int) -> bytearray:
        """As the socket's own; raises OSError beyond the budget, which closes the connection."""
        self._left -= nr_bytes
        if self._left < 0:
            log.warning("connection closed: more than an instance may have")
            raise OSError("more bytes than one instance may have")
        return self._receive(nr_bytes)

    def renew(self) -> None:
        """An instance is through: the next one has the whole budget again."""
        self._left = self._limit
