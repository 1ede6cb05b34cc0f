"""The same device for scripts without async: each coroutine runs on a private event loop's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from inspect import isasyncgen, iscoroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from echolia.client.collection import Batch, Collection
from echolia.client.device import Device
from echolia.client.embeddings.embeddings import Embeddings
from echolia.client.joining import Joining
from echolia.client.llm.asking import Llm
from echolia.client.llm.conversations import Conversations
from echolia.client.pairing import Pairing
from echolia.client.payments import Payments

Result = TypeVar("Result")
_WRAPPED = (Batch, Collection, Conversations, Device, Embeddings, Joining, Llm, Pairing, Payments)


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="echolia-loop", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The coroutine's result; raises what it raises."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Blocking:
    """Anything of the SDK with each `await`, `async with` and `async for` done for you."""

    def __init__(self, loop: Loop, wrapped: Any) -> None:
        self._loop, self._wrapped = loop, wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if isinstance(found, _WRAPPED):
            return Blocking(self._loop, found)
        return self._waited(found) if callable(found) else found

    def __enter__(self) -> Self:
        self._loop.wait(self._wrapped.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.wait(self._wrapped.__aexit__(kind, error, trace))

    def _waited(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def waited(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if iscoroutine(result):
                result = self._loop.wait(result)
            if isasyncgen(result):
                return self._each(result)
            return Blocking(self._loop, result) if isinstance(result, _WRAPPED) else result

        return waited

    def _each(self, results: AsyncIterator[Result]) -> Iterator[Result]:
        async def following() -> tuple[Result] | None:
            try:
                return (await anext(results),)
            except StopAsyncIteration:
                return None

        while (found := self._loop.wait(following())) is not None:
            yield found[0]


class BlockingDevice(Blocking):
    """Everything `Device` can do, by the same names, without async.

    with BlockingDevice.open(home) as device:
        device.collection("entries").create({"title": "One"})
        device.sync()
    """

    @classmethod
    def open(cls, home: Path, **options: Any) -> BlockingDevice:
        """See `Device.open`."""
        loop = Loop()
        try:
            return cls(loop, loop.wait(Device.open(home, **options)))
        except BaseException:
            loop.close()
            raise

    @classmethod
    def init(cls, home: Path, server: str, **options: Any) -> tuple[BlockingDevice, str]:
        """See `Device.init`."""
        loop = Loop()
        try:
            device, phrase = loop.wait(Device.init(home, server, **options))
        except BaseException:
            loop.close()
            raise
        return cls(loop, device), phrase

    @classmethod
    def join(cls, home: Path, code: str, **options: Any) -> BlockingJoining:
        """See `Device.join`."""
        return BlockingJoining(Device.join(home, code, **options))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._loop.close()


class BlockingJoining(Blocking):
    """See `Joining`; the device that it ends with takes over its loop."""

    def __init__(self, joining: Joining[Device]) -> None:
        super().__init__(Loop(), joining)
        self._handed_over = False

    def finish(self) -> BlockingDevice:
        """See `Joining.finish`."""
        device = self._loop.wait(self._wrapped.finish())
        self._handed_over = True
        return BlockingDevice(self._loop, device)

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except BaseException:
            self._loop.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._handed_over:
            super().__exit__(kind, error, trace)
            self._loop.close()
