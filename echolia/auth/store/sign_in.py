"""Challenges and refresh tokens: both are spent by one unit of work that also says what they were."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from echolia.storage.engine import Database, Statement


class SignInDevice(NamedTuple):
    """A device that may try to sign in."""

    account: bytes
    sign: bytes
    revoked: bool


class SpentChallenge(NamedTuple):
    """A challenge taken out: for which device (None: there was none in time), and that device."""

    device: bytes | None
    known: SignInDevice | None


class Refreshed(NamedTuple):
    """What became of a refresh token; `account` and `device` are given unless it is unknown."""

    outcome: Literal["renewed", "reused", "expired", "unknown"]
    account: bytes = b""
    device: bytes = b""


async def put_challenge(db: Database, challenge: bytes, device: bytes, expires_ms: int) -> None:
    """Remember a challenge."""
    sql = "INSERT INTO challenges (challenge, device, expires_ms) VALUES (?, ?, ?)"
    await db.batch([Statement(sql, (challenge, device, expires_ms))])


async def spend_challenge(db: Database, challenge: bytes, now_ms: int) -> SpentChallenge:
    """Take the challenge out, whoever brings it and whatever follows."""
    looked_up, spent = await db.batch(
        [
            Statement(
                "SELECT d.account, d.sign, d.revoked_ms IS NOT NULL FROM challenges c"
                " JOIN devices d USING (device) JOIN accounts a USING (account)"
                " WHERE c.challenge = ? AND a.deleting = 0",
                (challenge,),
            ),
            Statement(
                "DELETE FROM challenges WHERE challenge = ? RETURNING device, expires_ms", (challenge,)
            ),
        ]
    )
    rows: list[Any] = spent.rows
    if not rows or rows[0][1] <= now_ms:
        return SpentChallenge(None, None)
    found: list[Any] = looked_up.rows
    return SpentChallenge(
        rows[0][0], SignInDevice(found[0][0], found[0][1], bool(found[0][2])) if found else None
    )


def insert_token(
    token_hash: bytes, family: bytes, account: bytes, device: bytes, expires_ms: int
) -> Statement:
    """The first refresh token of a sign-in; nothing where the device was revoked or the account deleted
    meanwhile.
    """
    return Statement(
        "INSERT INTO refresh_tokens (hash, family, account, device, expires_ms)"
        " SELECT ?1, ?2, ?3, ?4, ?5 FROM devices d JOIN accounts a USING (account)"
        " WHERE d.device = ?4 AND a.account = ?3 AND d.revoked_ms IS NULL AND a.deleting = 0",
        (token_hash, family, account, device, expires_ms),
    )


async def put_token(db: Database, statement: Statement) -> bool:
    """Write what `insert_token` made; False if the device may not sign in any more."""
    (result,) = await db.batch([statement])
    return result.changed == 1


async def renew_token(db: Database, old: bytes, new: bytes, now_ms: int, expires_ms: int) -> Refreshed:
    """Spend the token of hash `old` for that of hash `new`; a token spent before ends its whole family."""
    before, inserted, _, _ = await db.batch(
        [
            Statement(
                "SELECT account, device, used_ms IS NOT NULL, expires_ms FROM refresh_tokens WHERE hash = ?",
                (old,),
            ),
            Statement(
                "INSERT INTO refresh_tokens (hash, family, account, device, expires_ms)"
                " SELECT ?1, family, account, device, ?2 FROM refresh_tokens JOIN accounts USING (account)"
                " WHERE hash = ?3 AND used_ms IS NULL AND expires_ms > ?4 AND deleting = 0",
                (new, expires_ms, old, now_ms),
            ),
            Statement(
                "DELETE FROM refresh_tokens WHERE family ="
                " (SELECT family FROM refresh_tokens WHERE hash = ? AND used_ms IS NOT NULL)",
                (old,),
            ),
            Statement(
                "UPDATE refresh_tokens SET used_ms = ?1"
                " WHERE hash = ?2 AND used_ms IS NULL AND expires_ms > ?1",
                (now_ms, old),
            ),
        ]
    )
    rows: list[Any] = before.rows
    if not rows:
        return Refreshed("unknown")
    account, device, used, _ = rows[0]
    if used:
        return Refreshed("reused", account, device)
    return Refreshed("renewed" if inserted.changed else "expired", account, device)


async def sweep(db: Database, now_ms: int) -> None:
    """Forget what has expired."""
    await db.batch(
        [
            Statement("DELETE FROM challenges WHERE expires_ms <= ?", (now_ms,)),
            Statement("DELETE FROM refresh_tokens WHERE expires_ms <= ?", (now_ms,)),
            Statement("DELETE FROM mailboxes WHERE expires_ms <= ?", (now_ms,)),
        ]
    )
