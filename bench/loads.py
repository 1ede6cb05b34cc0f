"""What so many accounts take on each place, by unit costs and guesses (`bench/unit_costs.toml`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from echolia.settings import Settings

DAY_S, MONTH_DAYS = 86_400, 30


def of_settings(name: str) -> float:
    """A setting's default."""
    return float(Settings.model_fields[name].default)


def number(value: float) -> str:
    """A count, with the digits that are worth anything."""
    if value < 10:
        return f"{value:.2g}" if value >= 0.001 else f"{value:.5f}"
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{round(value / step) * step:,.0f}"


def size(value: float) -> str:
    """Bytes, by the largest decimal unit."""
    for unit, each in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= each:
            return f"{number(value / each)} {unit}"
    return f"{number(value / 1e3)} kB"


def span(seconds: float) -> str:
    """A time, by the largest unit."""
    for unit, each in (("days", DAY_S), ("h", 3600), ("min", 60)):
        if seconds >= 2 * each:
            return f"{number(seconds / each)} {unit}"
    return f"{number(seconds)} s" if seconds >= 0.1 else f"{number(seconds * 1000)} ms"


class Load:
    """What so many accounts need, everywhere alike."""

    def __init__(self, accounts: int, given: Mapping[str, Any]) -> None:
        self.cost = {name: each["value"] for name, each in given["cost"].items()}
        self.use, self.machine = given["use"], given["machine"]
        cost, use = self.cost, self.use
        self.devices = accounts * use["devices"]
        self.accounts, self.active = accounts, accounts * use["active_share"]
        mean_s = self.active / DAY_S * use["peak"]
        self.pushes = mean_s * use["changes_a_day"] / use["changes_a_push"]
        # Each device of the account reads what one pushed; a read is counted as if it cost as much.
        self.requests = self.pushes * use["devices"]
        self.open = min(self.active, self.pushes * 60 * use["keep_open_minutes"])
        life_h = of_settings("access_token_seconds") / 3600
        self.listeners = self.active * use["devices"] * use["awake_hours"] / 24 * use["peak"]
        self.refreshes = self.listeners / life_h / 3600
        a_day = self.active * use["devices"] * use["awake_hours"] / life_h
        self.tokens = a_day * of_settings("refresh_token_days")
        rows = cost["directory_account"] + (use["devices"] - 1) * cost["directory_device"]
        self.token_bytes = self.tokens * cost["directory_refresh"]
        self.directory = accounts * rows + self.token_bytes
        history = use["changes_a_day"] * of_settings("undo_days")
        self.content = self.active * (use["objects"] + history) * cost["change"]
        synced, renewing = self.requests / cost["pushes_process"], self.refreshes / cost["refreshes_sqlite"]
        # With several, nearly every push and pull is handed over, and costs two of them.
        self.busy = 2 * synced + renewing
        self.processes = 1 if synced + renewing <= 1 else math.ceil(self.busy)
        self.default_sweep_s = accounts / of_settings("migrate_per_second") / self.processes
        listening = self.listeners * cost["listener_kib"] * 1024
        self.serving = self.processes * cost["process_mib"] * 2**20 + listening

    def rows(self) -> list[tuple[str, str]]:
        """The table's column: people, processes and the directory, whatever the place."""
        waiting = f"{number(self.accounts / self.processes)}; {self.cost['takeover_s']} s"
        renewed, look_s = number(self.refreshes), self.accounts * self.cost["minute_row_us"] / 1e6
        return [
            ("active a day; devices that listen at peak", f"{number(self.active)}; {number(self.listeners)}"),
            ("pushes a second at peak; with reads", f"{number(self.pushes)}; {number(self.requests)}"),
            ("databases kept open; server processes", f"{number(self.open)}; {number(self.processes)}"),
            ("directory; refresh tokens in it", f"{size(self.directory)}; {size(self.token_bytes)}"),
            ("refresh tokens; refreshes a second at peak", f"{number(self.tokens)}; {renewed}"),
            ("migrating all at the default pace, in each process", span(self.default_sweep_s)),
            (
                "a killed process: accounts that wait; how long",
                waiting if self.processes > 1 else "all; a restart",
            ),
            ("looking for moved databases, each minute", span(look_s)),
        ]

    def beside(self) -> dict[str, float]:
        """By which part of what there is, or what was measured, is taken up, whatever the place."""
        day_s = self.machine["day_hours"] * 3600
        return {
            "the directory's size": self.directory / (self.machine["disk_tb"] * 1e12),
            "requests and refreshes, by cores": self.busy / self.machine["cores"],
            "migrating all at the default pace": self.default_sweep_s / day_s,
        }


class Files(Load):
    """All on one machine, in files."""

    def __init__(self, accounts: int, given: Mapping[str, Any]) -> None:
        super().__init__(accounts, given)
        cost, self.empty = self.cost, accounts * self.cost["file"]
        self.disk = self.empty + self.content
        self.memory = self.serving + self.open * cost["file_open_kib"] * 1024
        self.descriptors = self.open * cost["file_open_descriptors"] + self.listeners
        self.opening = max(1, math.ceil(self.requests / cost["opened"]))
        self.snapshot_s = accounts / cost["snapshots"] + self.content / cost["snapshot_mb"] / 1e6
        self.start_s = accounts * cost["start_file_us"] / 1e6

    def falls(self) -> dict[str, float]:
        """What is taken up, as a part of it."""
        machine = self.machine
        return {
            **self.beside(),
            "refreshes, as one process gets them": self.refreshes / self.cost["refreshes_sqlite"],
            "disk": (self.disk + self.directory) / (machine["disk_tb"] * 1e12),
            "memory": self.memory / (machine["memory_gib"] * 2**30),
            "syncs of the disk": self.pushes / self.cost["runs_disk"],
            "a snapshot of all": self.snapshot_s / machine["day_hours"] / 3600,
            "a start": self.start_s / machine["start_s"],
        }

    def rows(self) -> list[tuple[str, str]]:
        """The table's column."""
        cost = self.cost
        return [
            ("accounts' databases on disk; empty ones alone", f"{size(self.disk)}; {size(self.empty)}"),
            ("server processes for openings alone, if each request needed one", number(self.opening)),
            ("memory: processes, listeners, open databases", size(self.memory)),
            ("descriptors: listeners, open databases", number(self.descriptors)),
            ("making all accounts, as fast as was measured", span(self.accounts / cost["created"])),
            ("all devices signing in anew, by one process", span(self.devices / cost["sign_ins_sqlite"])),
            ("migrating all beside clients, as was measured", span(self.accounts / cost["swept"])),
            ("a snapshot of all", span(self.snapshot_s)),
            ("a start: looking at all files", span(self.start_s)),
        ]


class Cells(Load):
    """sqld cells behind server processes, the directory in PostgreSQL."""

    def __init__(self, accounts: int, given: Mapping[str, Any]) -> None:
        super().__init__(accounts, given)
        cost, self.empty = self.cost, accounts * self.cost["namespace"]
        self.disk = self.empty + self.content
        of_one = max(self.open / self.machine["cell_namespaces"], self.requests / cost["pushes_sqld"])
        self.cells = max(1, math.ceil(of_one))
        self.cell_memory = self.open * cost["namespace_open_kib"] * 1024

    def falls(self) -> dict[str, float]:
        """What is taken up, as a part of it; of cells, of one."""
        return {
            **self.beside(),
            "refreshes, as one process gets them": self.refreshes / self.cost["refreshes_postgres"],
            "active namespaces of one cell": self.open / self.machine["cell_namespaces"],
            "requests to one cell": self.requests / self.cost["pushes_sqld"],
            "disk of one machine": self.disk / (self.machine["disk_tb"] * 1e12),
        }

    def rows(self) -> list[tuple[str, str]]:
        """The table's column."""
        descriptors = self.open * self.cost["namespace_open_descriptors"]
        return [
            ("cells' databases on disk; empty ones alone", f"{size(self.disk)}; {size(self.empty)}"),
            ("cells, by active namespaces or requests", number(self.cells)),
            ("memory of all cells for active namespaces", size(self.cell_memory)),
            ("descriptors of all cells", number(descriptors)),
            ("memory: processes, listeners", size(self.serving)),
            ("making all accounts, as fast as was measured", span(self.accounts / self.cost["created_sqld"])),
            (
                "all devices signing in anew, by one process",
                span(self.devices / self.cost["sign_ins_postgres"]),
            ),
        ]


class Turso(Load):
    """Databases at Turso Cloud."""

    def rows(self) -> list[tuple[str, str]]:
        """The table's column: a push writes a run, its index entry, and each device's acknowledgement."""
        pushes = self.pushes / self.use["peak"] * DAY_S * MONTH_DAYS
        written = pushes * (2 + self.use["devices"])
        requests, gb = pushes * self.use["devices"], self.content / 1e9
        return [
            ("databases", number(self.accounts)),
            ("GB stored", number(gb)),
            ("rows written a month, index entries among them", number(written)),
            ("requests a month; a second at peak", f"{number(requests)}; {number(self.requests)}"),
            (
                "a month costs",
                f"{number(self.accounts)} `D` + {number(gb)} `G` + {number(written / 1e6)} `W`",
            ),
        ]
