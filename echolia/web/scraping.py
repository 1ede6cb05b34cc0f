"""`/metrics` of a server of several processes: every series says which process it is of.

They are not summed up here: a process that is started anew counts from nothing, and a sum that falls for that
would be read as if everything had begun anew. `sum(rate(…))` sees each series begin anew for itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from echolia.web.metrics import Metrics

# The name, kind and meaning of each metric, and its samples: name, labels, value.
Families = Sequence[tuple[str, str, str, Sequence[tuple[str, Mapping[str, str], float]]]]


class Scrape:
    """What is read of `metrics`, those of process number `worker`, and of the `others`: their `told`."""

    def __init__(
        self, metrics: Metrics, worker: int = 0, others: Callable[[], Awaitable[Sequence[Any]]] | None = None
    ) -> None:
        self.metrics = metrics
        self._worker = worker
        self._others = others

    async def told(self) -> tuple[int, Families]:
        """This process's number and numbers, in plain values."""
        return self._worker, [
            (
                family.name,
                family.type,
                family.documentation,
                [(sample.name, sample.labels, sample.value) for sample in family.samples],
            )
            for family in self.metrics.collected()
        ]

    async def text(self) -> bytes:
        """All processes' in Prometheus' form; a server that is one process has no label for it."""
        if self._others is None:
            return self.metrics.render()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Labelled([await self.told(), *await self._others()]))
        return generate_latest(registry)


class _Labelled(Collector):
    """Each metric once, with the series of all processes."""

    def __init__(self, told: Sequence[tuple[int, Families]]) -> None:
        self._told = sorted(told, key=lambda one: one[0])

    def collect(self) -> Iterator[Metric]:
        """See `Collector.collect`."""
        metrics: dict[str, Metric] = {}
        for worker, families in self._told:
            for name, kind, meaning, samples in families:
                metric = metrics.setdefault(name, Metric(name, meaning, kind))
                for sample, labels, value in samples:
                    metric.add_sample(sample, {**labels, "worker": str(worker)}, value)
        yield from metrics.values()
