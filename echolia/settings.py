"""Every knob of the server: name, type, default; read from `ECHOLIA_…` variables, frozen from then on."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from echolia.core.errors import EcholiaError

PREFIX: Final = "ECHOLIA_"
Network = IPv4Network | IPv6Network
PerMinute = Annotated[int, Field(ge=1, le=100_000_000)]


def _networks(value: object) -> object:
    """Networks from `10.0.0.0/8, ::1`: no JSON in an environment variable."""
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _reachable(value: str) -> str:
    """Nothing, or a host's name or address and a port; an IPv6 address is in brackets."""
    parts = urlsplit(f"//{value}")
    if value and (
        parts.netloc != value
        or value.split() != [value]
        or "@" in value
        or not parts.hostname
        or parts.port is None
    ):
        raise ValueError("no address")
    return value


def _no_path(value: object) -> object:
    """An empty variable names no file."""
    return value or None


class Settings(BaseSettings):
    """The server's settings. Arguments win over the environment, the environment over the defaults.

    Raises: `settings_invalid`, which names the settings that are wrong and never their values.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on; the default is this machine only")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data: Path = Field(Path("data"), description="folder of all databases and secrets")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged; requests are logged at info"
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = Field(
        (), description="networks whose X-Forwarded-For is believed, comma separated; none by default"
    )
    threads: int = Field(8, ge=1, le=64, description="threads that read and write databases")
    workers: int = Field(1, ge=1, le=64, description="server processes that share the accounts out")
    address: Annotated[str, AfterValidator(_reachable)] = Field(
        "",
        description="where other machines reach this one's workers, such as 10.0.0.5:8100, each further"
        " worker at the next port; empty: one machine",
    )
    takeover_seconds: float = Field(
        15, ge=1, le=600, description="silence after which others take a machine's accounts over"
    )
    open_databases: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="accounts' databases kept open at once; 0: as many as memory and open files allow",
    )
    open_memory_bytes: int = Field(
        128 * 2**20, ge=2**20, le=2**50, description="memory that those may take, at 256 KiB each"
    )
    migrate_per_second: float = Field(
        50,
        ge=0,
        le=100_000,
        description="accounts' databases migrated a second in the background; 0: only when they are used",
    )

    directory_url: str = Field(
        "",
        pattern=r"^$|^postgres(ql)?://",
        description="PostgreSQL that holds the directory, such as postgresql://echolia@10.0.0.5/echolia;"
        " empty: a file",
        repr=False,
    )
    directory_connections: int = Field(8, ge=1, le=500, description="connections to that PostgreSQL at most")
    directory_seconds: float = Field(
        5, gt=0, le=600, description="time that a statement there may take, or a connection to it"
    )

    homes: Annotated[Path | None, BeforeValidator(_no_path)] = Field(
        None,
        description="file of the places of accounts' databases beside this machine's files; none by default",
    )
    new_accounts: str = Field(
        "files", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="place where new accounts' databases go"
    )

    live: Literal["auto", "memory", "database", "postgres", "redis"] = Field(
        "auto",
        description="how server processes tell each other that a log moved;"
        " auto: redis or else postgres if it has an address",
    )
    redis_url: str = Field(
        "",
        pattern=r"^$|^(rediss?|unix)://",
        description="address of a Redis, such as redis://127.0.0.1:6379; limits by network count there",
        repr=False,
    )
    redis_seconds: float = Field(
        0.25, gt=0, le=60, description="time that it gets to count a request; then the process counts alone"
    )

    max_devices: int = Field(32, ge=1, le=10_000, description="devices an account may have at a time")
    new_device_hours: int = Field(
        48, ge=0, le=8760, description="hours in which a new device may not add or revoke others unconfirmed"
    )
    access_token_seconds: int = Field(900, ge=10, le=3600, description="life of an access token")
    refresh_token_days: int = Field(60, ge=1, le=365, description="life of a refresh token")
    register_free_per_minute: int = Field(
        60, ge=0, le=1_000_000, description="sign-ups a minute before a proof of work is asked for"
    )
    proof_of_work_bits: int = Field(
        16, ge=1, le=32, description="least difficulty of that proof, in zero bits"
    )

    register_per_minute: PerMinute = Field(20, description="sign-ups a minute and client network")
    challenge_per_minute: PerMinute = Field(120, description="challenges a minute and client network")
    token_per_minute: PerMinute = Field(120, description="sign-ins a minute and client network")
    refresh_per_minute: PerMinute = Field(240, description="refreshes a minute and client network")
    mailbox_per_minute: PerMinute = Field(
        240, description="pairing requests of guests a minute and client network"
    )
    anonymous_per_minute: PerMinute = Field(600, description="other requests without a token, likewise")
    account_per_minute: PerMinute = Field(
        1200, description="requests a minute and account, pushes and pulls aside"
    )
    push_per_minute: PerMinute = Field(1200, description="pushes a minute and account")
    pull_per_minute: PerMinute = Field(2400, description="pulls a minute and account")
    ledger_per_minute: PerMinute = Field(12, description="ledgers a minute and account")

    checkpoint_per_minute: PerMinute = Field(6, description="checkpoints a minute and account")

    undo_days: int = Field(30, ge=0, le=3650, description="age of a checkpoint before history is let go of")
    parked_days: int = Field(
        90, ge=1, le=3650, description="silence after which a device holds no history back"
    )
    quota_bytes: int = Field(
        2**30, ge=0, le=2**50, description="bytes an account may store; 0: as many as there is room for"
    )
    quota_objects: int = Field(1_000_000, ge=0, le=2**40, description="objects an account may have; 0: any")
    quota_changes_per_minute: int = Field(
        300_000, ge=0, le=2**40, description="changes an account may store a minute; 0: any"
    )
    quota_reserve_percent: int = Field(
        5, ge=0, le=100, description="how much more than that a push may take that frees room, in percent"
    )
    quota_reserve_bytes: int = Field(2**20, ge=0, le=2**40, description="the least of that in bytes")

    models: Annotated[Path | None, BeforeValidator(_no_path)] = Field(
        None, description="file of model providers and their models; none: a model that echoes"
    )
    llm_per_minute: PerMinute = Field(120, description="asks of models a minute and account")
    llm_concurrent: int = Field(4, ge=0, le=1000, description="asks of an account at a time; 0: any number")
    llm_tokens_per_day: int = Field(
        1_000_000, ge=0, le=2**50, description="tokens in and out a day and account; 0: any number"
    )
    llm_micro_usd_per_month: int = Field(
        5_000_000,
        ge=0,
        le=2**50,
        description="cost of an account's asks in 30 days, in millionths of a dollar; 0: any",
    )
    llm_seconds: float = Field(600, gt=0, le=3600, description="time that an answer of a model may take")

    embeddings: Literal["auto", "onnx", "deterministic", "off"] = Field(
        "auto",
        description="what embeds texts; auto: onnx where it is installed (`make embeddings`), or else"
        " deterministic, which is for development",
    )
    embeddings_threads: int = Field(2, ge=1, le=256, description="threads that embed, in each process")
    embeddings_per_minute: PerMinute = Field(240, description="requests to embed a minute and account")
    embeddings_concurrent: int = Field(
        8, ge=0, le=1000, description="requests of an account that are embedded at a time; 0: any number"
    )
    embeddings_tokens_per_day: int = Field(
        5_000_000, ge=0, le=2**50, description="tokens embedded a day and account; 0: any number"
    )
    embeddings_queue: int = Field(
        2048, ge=1, le=2**20, description="windows of 254 tokens that may wait in each process"
    )
    embeddings_seconds: float = Field(30, gt=0, le=60, description="time that a request to embed may take")
    tiers: Annotated[Path | None, BeforeValidator(_no_path)] = Field(
        None, description="file of the tiers that are sold; none: those that ship"
    )
    stores: Annotated[Path | None, BeforeValidator(_no_path)] = Field(
        None, description="file of the app stores that purchases are taken of; none: of none"
    )
    sandbox_store: bool = Field(
        False,
        description="take purchases of the sandbox store, and have sandbox purchases count: for development",
    )
    jobs_seconds: float = Field(
        2, ge=0, le=3600, description="how often a process looks for jobs to do; 0: it leaves them to others"
    )
    webhook_per_minute: PerMinute = Field(
        6000, description="notifications of stores a minute and client network"
    )

    body_seconds: float = Field(30, gt=0, le=600, description="time a request's body may take to arrive")
    shutdown_seconds: int = Field(
        3, ge=1, le=60, description="time running requests get when the server stops"
    )
    free_disk_bytes: int = Field(64 * 2**20, ge=0, description="less free disk than this and /readyz says so")
    disk_reserve_bytes: int = Field(
        16 * 2**20,
        ge=0,
        description="room kept so that a full disk can still be relieved: accounts deleted, devices revoked",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise EcholiaError("settings_invalid", ", ".join(sorted(set(_wrong(error))))) from None

    @model_validator(mode="after")
    def _notices_have_an_address(self) -> Self:
        address = {"redis": self.redis_url, "postgres": self.directory_url}
        if not address.get(self.live, "none needed"):
            raise ValueError("no address")
        return self


def _wrong(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_input=False, include_context=False, include_url=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        # A name that is no setting was made up by the caller: it is not repeated.
        yield PREFIX + name.upper() if name in Settings.model_fields else "an unknown setting"
