"""OpenTelemetry in another process, as its host may have set it up: what it is told is written down.

    telemetry.py makes the `sitecustomize` of a Python; its folder goes into that Python's PYTHONPATH.

Spans, metrics and logs stay in memory until the process ends, or SIGUSR1; then they lie in its HOME.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
from pathlib import Path
from typing import Final

FILE: Final = "telemetry.txt"
BEGAN: Final = "telemetry began"


def customized(folder: Path) -> Path:
    """A folder for PYTHONPATH by which a Python begins with `record`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[3])!r})\n"
        "from tests.journeys.canary.telemetry import record\nrecord()\n"
    )
    return folder


def record() -> None:
    """Set the providers of this process, which keep all in memory and write it down when it ends."""
    from opentelemetry import _logs, metrics, trace  # noqa: PLC0415  # only in the process that is watched
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import (  # noqa: PLC0415
        InMemoryLogRecordExporter,
        SimpleLogRecordProcessor,
    )
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # theirs
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
    _logs.set_logger_provider(loggers)
    logging.getLogger().addHandler(LoggingHandler(logging.DEBUG, loggers))
    trace.get_tracer("canary").start_span(BEGAN).end()
    metrics.get_meter("canary").create_counter("canary_counter").add(1)

    def write(*_: object) -> None:
        told = [span.to_json() for span in spans.get_finished_spans()]
        told += [record.log_record.body and repr(record.log_record) for record in records.get_finished_logs()]
        found = reader.get_metrics_data()
        told.append(found.to_json() if found else "")
        Path(os.environ["HOME"], FILE).write_text("\n".join(map(str, told)))

    atexit.register(write)
    signal.signal(signal.SIGUSR1, write)
