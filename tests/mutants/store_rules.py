"""Rules of app stores: what is believed of them, what is asked of them, and what is never repeated."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_SIGNED: Final = "echolia/payments/stores/apple_signed.py"
_JWS: Final = "echolia/payments/stores/jws.py"
_APPLE: Final = "echolia/payments/stores/apple.py"
_PUSH: Final = "echolia/payments/stores/google_push.py"
_EVENTS: Final = "echolia/payments/stores/google_events.py"
_GOOGLE: Final = "echolia/payments/stores/google.py"
_TOKENS: Final = "echolia/payments/stores/google_tokens.py"
_CONNECTION: Final = "echolia/payments/stores/connection.py"
_FIELDS: Final = "echolia/payments/stores/fields.py"
_FORGERIES: Final = ("tests/payments/stores/test_apple_forgeries.py",)
_READ: Final = ("tests/payments/stores/test_jws.py",)
_NOTIFICATIONS: Final = ("tests/payments/stores/test_apple_notifications.py",)
_APPLE_API: Final = ("tests/payments/stores/test_apple_api.py",)
_PUSHES: Final = ("tests/payments/stores/test_google_push.py",)
_GOOGLE_API: Final = ("tests/payments/stores/test_google_api.py",)
_LEAKS: Final = ("tests/payments/stores/test_leaks.py",)

STORES: Final = (
    Mutant(
        "what Apple signs in the future is taken",
        _SIGNED,
        'if claimed.whole("signedDate") > self._clock_ms() + MOST_AHEAD_MS:',
        'if claimed.whole("signedDate") < 0:',
        _FORGERIES,
    ),
    Mutant(
        "Apple's chains are judged at the date that is claimed",
        _SIGNED,
        "list(access.roots), True, named",
        "list(access.roots), False, named",
        _FORGERIES,
    ),
    Mutant(
        "what Apple's verifier refuses is taken",
        _SIGNED,
        "        status = error.status\n",
        "        return bool(error)\n",
        _FORGERIES,
    ),
    Mutant(
        "a responder that is down makes a forgery",
        _SIGNED,
        "    if status == VerificationStatus.RETRYABLE_VERIFICATION_FAILURE:\n",
        "    if status == VerificationStatus.OK:\n",
        _FORGERIES,
    ),
    Mutant(
        "each text of the same chain has the responder asked",
        _SIGNED,
        "        if not _library_verifies(lambda: verify(verifier, signed)):\n",
        "        verifier._chain_verifier.verified_certificates_cache.clear()\n"
        "        if not _library_verifies(lambda: verify(verifier, signed)):\n",
        _FORGERIES,
    ),
    Mutant(
        "what nobody signed by ES256 is read",
        _JWS,
        'header.get("alg") != "ES256" or not',
        "not",
        _READ,
    ),
    Mutant(
        "a signed text has many forms",
        _JWS,
        "    if not decoded or _ALPHABET.index(part[-1]) & spare:\n",
        "    if not decoded or spare < 0:\n",
        _READ,
    ),
    Mutant(
        "a signed text may be as long as it likes",
        _JWS,
        "if len(text) <= _LONGEST else None",
        "if _LONGEST else None",
        _READ,
    ),
    Mutant(
        "a renewal info of another purchase counts",
        _SIGNED,
        "        if purchase_of(renewal) != purchase_of(of):\n",
        "        if not purchase_of(of):\n",
        _NOTIFICATIONS,
    ),
    Mutant(
        "a renewal info counts without a transaction",
        _SIGNED,
        "            if renewal is not None:  # nothing would say whose it is\n",
        "            if renewal is not None and not environment:\n",
        _NOTIFICATIONS,
    ),
    Mutant(
        "what is nested may be of another environment",
        _SIGNED,
        "        if any(purchase_of(fact).environment != environment for fact in facts):\n",
        "        if not environment:\n",
        _NOTIFICATIONS,
    ),
    Mutant(
        "a chain's third certificate may be anything",
        _SIGNED,
        "        return x5c[2] in self._roots and all(",
        "        return bool(self._roots) and all(",
        _FORGERIES,
    ),
    Mutant(
        "a certificate may be written in many ways",
        _SIGNED,
        "        return b64encode(certificate.public_bytes(Encoding.DER)).decode() == text\n",
        "        return bool(certificate)\n",
        _FORGERIES,
    ),
    Mutant(
        "a receipt's own word is put into an address",
        _APPLE,
        "            return found if _TRANSACTION_ID.fullmatch(found) else None\n",
        "            return found\n",
        _APPLE_API,
    ),
    Mutant(
        "one unreadable notification hides the page",
        _APPLE,
        "            digest = sha256(signed.encode()).hexdigest()\n",
        "            raise\n",
        _APPLE_API,
    ),
    Mutant(
        "a number that is written as text is a number",
        _FIELDS,
        "        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _GREATEST:\n",
        "        found = int(found) if isinstance(found, str) else found\n        if found != int(found):\n",
        _FORGERIES,
    ),
    Mutant(
        "whoever Google vouches for may push",
        _PUSH,
        'return claims["email_verified"] is True and claims["email"] == self._access.push_email',
        'return claims["email_verified"] is True',
        _PUSHES,
    ),
    Mutant(
        "an e-mail need not be verified",
        _PUSH,
        'return claims["email_verified"] is True and claims["email"] == self._access.push_email',
        'return bool(claims["email"] == self._access.push_email)',
        _PUSHES,
    ),
    Mutant(
        "a push for others is taken",
        _PUSH,
        '"strict_aud": True}',
        '"verify_aud": False}',
        _PUSHES,
    ),
    Mutant(
        "whoever issues may push",
        _PUSH,
        "                issuer=_ISSUER,\n",
        "",
        _PUSHES,
    ),
    Mutant(
        "a push may be of any algorithm",
        _PUSH,
        'algorithms=["RS256"]',
        'algorithms=["RS256", "RS512"]',
        _PUSHES,
    ),
    Mutant(
        "made-up keys have Google asked",
        _PUSH,
        "            cooldown_duration=cooldown_s,\n",
        "            cooldown_duration=0,\n",
        _PUSHES,
    ),
    Mutant(
        "another subscription's push is taken",
        _EVENTS,
        '        if envelope.text("subscription") != access.push_subscription:\n',
        '        if not envelope.text("subscription"):\n',
        _PUSHES,
    ),
    Mutant(
        "another app's push is taken",
        _EVENTS,
        '        if said.text("packageName") != access.package_name:\n',
        '        if not said.text("packageName"):\n',
        _PUSHES,
    ),
    Mutant(
        "a garbage push comes again for a week",
        _EVENTS,
        "    except Malformed:\n        return Notification(",
        "    except Malformed:\n        raise NotOurs from None\n        return Notification(",
        _PUSHES,
    ),
    Mutant(
        "Google is asked further back than it knows",
        _GOOGLE,
        "        since_ms = max(since_ms, self._clock_ms() - _VOIDED_MS)\n",
        "",
        _GOOGLE_API,
    ),
    Mutant(
        "an access token that was refused is used again",
        _GOOGLE,
        '            if error.reason == "credentials":\n',
        '            if error.reason == "timeout":\n',
        _GOOGLE_API,
    ),
    Mutant(
        "each request asks for an access token",
        _TOKENS,
        "            if not self._credentials.valid:\n",
        "            if self._credentials:\n",
        _GOOGLE_API,
    ),
    Mutant(
        "a store's address, with its tokens, is logged",
        _CONNECTION,
        "        silence(LOGGERS)\n",
        "",
        _LEAKS,
    ),
    Mutant(
        "what a store's connection says of a request is in the failure",
        _CONNECTION,
        '            failed = "unreachable"\n',
        '            raise StoreUnavailable("unreachable") from None\n',
        _LEAKS,
    ),
    Mutant(
        "a store's answer may be of any size",
        _CONNECTION,
        "                if len(body) > MOST_BYTES:\n",
        "                if len(body) < 0:\n",
        _APPLE_API,
    ),
    Mutant(
        "a store may lead elsewhere",
        _CONNECTION,
        "    if status >= 500 or 300 <= status < 400 or status < 200:\n",
        "    if status >= 500:\n",
        _APPLE_API,
    ),
)
