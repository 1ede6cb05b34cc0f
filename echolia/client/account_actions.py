"""What a device does with its account: who belongs to it, its keys, its recovery phrase, its end."""

from __future__ import annotations

from echolia.client import generations, membership, overview
from echolia.client.brakes import BrakeLimits
from echolia.client.device_entries import fetch_device_log
from echolia.client.drilling import drill
from echolia.client.embeddings.embeddings import Embeddings
from echolia.client.environment import Environment
from echolia.client.kept_tokens import KeptTokens
from echolia.client.llm.asking import Llm
from echolia.client.llm.conversations import Conversations
from echolia.client.llm.sealed_asks import SealedAsks
from echolia.client.opening import OpenHome, with_phrase_forgotten
from echolia.client.payments import Payments
from echolia.client.session import Session
from echolia.client.standing import LoggedDevice
from echolia.client.syncing import Syncing
from echolia.client.transport import Transport
from echolia.core.errors import EcholiaError
from echolia.e2ee.keys import SECRET_BYTES
from echolia.e2ee.recovery import phrase_of, recovery_keys


class AccountActions:
    """The part of `Device` that is about the account; `Device` is what there is to use."""

    def __init__(
        self, opened: OpenHome, transport: Transport, environment: Environment, limits: BrakeLimits
    ) -> None:
        """Use `Device.open`, `Device.init`, `Device.join` or `Device.recover` instead."""
        self._opened, self._replica = opened, opened.replica
        keys = opened.vault.keys
        self._session = Session(transport, keys, KeptTokens(opened.replica), environment)
        self._syncing = Syncing(opened, self._session, limits)
        self._environment = environment
        sealed = SealedAsks(opened.replica, self._session, environment)
        self.llm = Llm(sealed, self._session)
        self.embeddings = Embeddings(opened.replica, sealed, self._session)
        self.payments = Payments(opened.replica, self._session)
        self.conversations = Conversations(opened.replica, environment)

    @property
    def id(self) -> str:
        """This device's id, hexadecimal."""
        return self._replica.identity.device.hex()

    @property
    def account(self) -> str:
        """The account's id, hexadecimal."""
        return self._replica.identity.account.hex()

    async def devices(self) -> list[LoggedDevice]:
        """The devices of the account, oldest first, as this device verified them."""
        return await self._replica.run(overview.devices, self._replica)

    async def revoke(self, device: str) -> None:
        """Take a device (its id) out of the account; what it wrote and this device has seen stays.

        In the same go the account gets a key that it does not know: what is written from then on it cannot
        read, however it comes by it. Interrupted in between, the next sync of any device finishes.
        A mass change of it that waits (see `brake`) was not seen: it goes with the device. Raises
        `device_unknown`, `device_last` for the only one, `device_new` where this one may not yet.
        """
        try:
            await self._syncing.sync()
        except EcholiaError as error:
            if error.code != "mass_change":
                raise
        async with self._syncing.alone:
            await membership.revoke(self._replica, self._session, device)
            if device != self.id:
                await generations.follow(self._opened, self._session)

    async def confirm(self, device: str) -> None:
        """Say that a new device (its id) belongs here, so that it may add and revoke others at once.

        Raises `device_unknown`, `device_new` where this one may not yet.
        """
        await membership.confirm(self._replica, self._session, device)

    async def rotate(self) -> None:
        """Begin the next generation of the account key. Raises `device_new`."""
        async with self._syncing.alone:
            await fetch_device_log(self._replica, self._session)
            await generations.follow(self._opened, self._session)
            await generations.rotate(self._opened, self._session)

    async def drill(self, phrase: str) -> int:
        """Show that the 24 words still open the account; gives the generation of the key that they open.

        Nothing of them leaves this device. Raises `phrase_invalid`, `phrase_other`, `key_box_withheld`,
        `key_box_invalid`, `server_unreachable`.
        """
        async with self._syncing.alone:
            return await drill(self._opened, self._session, phrase)

    async def replace_phrase(self) -> str:
        """Make a new recovery phrase and a new account key; gives the words, until `phrase_kept`.

        The former words open what was written so far, nothing later. Raises `device_new`.
        """
        async with self._syncing.alone:
            await fetch_device_log(self._replica, self._session)
            await generations.follow(self._opened, self._session)
            log = await fetch_device_log(self._replica, self._session)
            kept: bytes | None = self._opened.vault.entropy
            # What another device has replaced since is nobody's phrase any more.
            if kept is None or recovery_keys(phrase_of(kept)).sign_public != log.recovery_sign:
                entropy = self._replica.environment.dice(SECRET_BYTES)
                kept = await generations.rotate(self._opened, self._session, entropy=entropy)
            assert kept is not None, "it came with the generation"
            return phrase_of(kept)

    async def delete_account(self) -> None:
        """Delete the account and all its data from the server, for good; this home stays readable."""
        await membership.delete_account(self._replica, self._session)

    async def phrase_kept(self) -> None:
        """Forget the recovery phrase: the person has seen it. It cannot be shown again."""
        await self._replica.run(with_phrase_forgotten, self._opened)
