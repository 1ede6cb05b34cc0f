"""What is counted, in Prometheus' form; labels are templates, methods and classes, never who or what."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class _Tally:
    """One route's, method's and status class's requests: how many, their time, how many a bucket."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS_S) + 1)


class Metrics(Collector):
    """The server's numbers, in a registry of its own.

    Requests are tallied in plain numbers and become metrics when they are read: the library's own counters
    take a lock for each, which costs a small request a tenth of its time.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self._in_bytes = self._out_bytes = 0
        self._counters: list[tuple[str, str, Callable[[], float]]] = []
        self._registry.register(self)

    def request(self, route: str, method: str, status: int, seconds: float, sizes: tuple[int, int]) -> None:
        """Count an answered request: `route` is a template; `sizes` are the bodies' bytes, in and out."""
        key = (route, method, status // 100)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.seconds += seconds
        tally.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._in_bytes += sizes[0]
        self._out_bytes += sizes[1]

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """The tallies as metrics."""
        labels = ["route", "method", "status"]
        seconds = HistogramMetricFamily("echolia_request_seconds", "Time to answer", labels=labels)
        for (route, method, status), tally in self._tallies.items():
            bounds = [*map(str, BUCKETS_S), "+Inf"]
            buckets = list(zip(bounds, accumulate(tally.buckets), strict=True))
            seconds.add_metric([route, method, f"{status}xx"], buckets, tally.seconds)
        yield seconds
        sizes = CounterMetricFamily("echolia_body_bytes", "Bytes of bodies", labels=["direction"])
        sizes.add_metric(["in"], self._in_bytes)
        sizes.add_metric(["out"], self._out_bytes)
        yield sizes
        for name, meaning, read in self._counters:
            yield CounterMetricFamily(f"echolia_{name}", meaning, value=read())

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Serve `echolia_<name>` as what `read` returns at each scrape."""
        Gauge(f"echolia_{name}", meaning, registry=self._registry).set_function(read)

    def counter(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Serve `echolia_<name>_total` as what `read`, which only grows, returns at each scrape."""
        self._counters.append((name, meaning, read))

    def collected(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        return iter(self._registry.collect())

    def render(self) -> bytes:
        """The same as text."""
        return generate_latest(self._registry)
