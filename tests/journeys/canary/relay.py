"""Stands between devices and their server and keeps all that passes, both ways."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from tests.journeys.canary.places import Place


class Relay:
    """Forwards connections to a loopback port; `url` is where devices ask."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._passed: list[tuple[str, bytearray]] = []
        self._trap: tuple[bytes, int, Callable[[], None]] | None = None
        self.sprung = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def trap(self, marker: bytes, after_bytes: int, spring: Callable[[], None]) -> None:
        """Call `spring` once, when so many bytes have passed on a connection that sent the marker."""
        self.sprung.clear()
        self._trap = (marker, after_bytes, spring)

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def places(self) -> Iterator[Place]:
        """What passed, each connection and direction by itself."""
        for name, content in self._passed:
            yield Place(name, bytes(content))

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                device.close()
                continue
            for name, source, target in (("sent", device, server), ("came", server, device)):
                content = bytearray()
                self._passed.append((name, content))
                threading.Thread(target=self._pump, args=(source, target, content), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, content: bytearray) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(16384):
                content += chunk
                self._look(content)
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the other direction's thread closes the other end

    def _look(self, content: bytearray) -> None:
        if self._trap is None:
            return
        marker, after_bytes, spring = self._trap
        at = content.find(marker)
        if at >= 0 and len(content) - at > after_bytes:
            self._trap = None
            spring()
            self.sprung.set()
