"""What a process of the simulator ends by."""

from __future__ import annotations


class Crashed(BaseException):
    """The process has ended here; `taken`: the durable step it was at is on disk all the same."""

    def __init__(self, *, taken: bool = False) -> None:
        super().__init__()
        self.taken = taken
