"""A server some of whose accounts live at a place that takes what it is sent and never answers."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.journeys.canary.breakage import Break
from tests.journeys.canary.person import Person
from tests.journeys.canary.watched import Watched


@contextlib.contextmanager
def lost_place(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a server that knows such a place by the name `lost`, while it listens."""
    folder.mkdir()
    (folder / "admin.key").write_text("key")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "signing.pem").write_bytes(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (folder / "homes.toml").write_text(
            f'[lost]\nkind = "sqld"\nurl = "{url}"\nadmin_url = "{url}"\n'
            'admin_key_file = "admin.key"\nsigning_key_file = "signing.pem"\n'
        )
        swallowing = threading.Thread(target=_swallow, args=(listener,))
        swallowing.start()
        yield {"homes": str(folder / "homes.toml")}
        listener.shutdown(socket.SHUT_RDWR)
        swallowing.join()


def _swallow(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(1 << 16)


def _living(home: str) -> Break:
    def use(server: Watched, person: Person) -> None:
        database = sqlite3.connect(server.data / "directory.db", isolation_level=None)
        database.execute("UPDATE databases SET home = ? WHERE account = ?", (home, person.account.id))
        database.close()
        person.push_new()
        person.ask("POST", "/sync/pull", {})

    return use


BREAK_ELSEWHERE: Final[Mapping[str, Break]] = {
    "storage_uncertain": _living("lost"),
    "home_unknown": _living("nowhere"),
}
