"""Rules that the adapters of models' providers keep: what is whole, what is over, what is told to nobody."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

_ADAPTER: Final = "echolia/llm/providers/adapter.py"
_CONNECTION: Final = "echolia/llm/providers/connection.py"
_ANTHROPIC: Final = "echolia/llm/providers/anthropic.py"
_OPENAI: Final = "echolia/llm/providers/openai.py"
_GOOGLE: Final = "echolia/llm/providers/google.py"
_FAULTS: Final = ("tests/llm/providers/test_faults.py",)
_LEAKS: Final = ("tests/llm/providers/test_leaks.py",)
_BOUNDS: Final = ("tests/llm/providers/test_bounds.py",)
_READ: Final = ("tests/llm/providers/test_read.py",)
_SENT: Final = ("tests/llm/providers/test_sent.py",)

PROVIDERS: Final = (
    Mutant(
        "a stream of OpenAI's that ends without its marker is whole",
        _OPENAI,
        "        if self._reason is None:\n            return\n",
        "        self._reason = self._reason or 'stop'\n",
        _FAULTS,
    ),
    Mutant(
        "a stream of Anthropic's that ends without its marker is whole",
        _ANTHROPIC,
        "        self.ended = False\n        self._reason: str | None = None\n",
        "        self.ended = True\n        self._reason: str | None = 'end_turn'\n",
        _FAULTS,
    ),
    Mutant(
        "a request goes on at the provider when its stream is closed",
        _ADAPTER,
        "        finally:\n            exchange.close()\n            with suppress",
        "        finally:\n            with suppress",
        _FAULTS,
    ),
    Mutant(
        "a failure is raised while the SDK's is handled",
        _ADAPTER,
        "                    failure = self._reduced(exchange, error)\n                    continue\n",
        "                    raise self._reduced(exchange, error)\n",
        _LEAKS,
    ),
    Mutant(
        "the SDKs are not silenced",
        _ADAPTER,
        "        silence()\n",
        "        silence  # noqa: B018\n",
        _LEAKS,
    ),
    Mutant(
        "a provider's id of a request may be anything",
        "echolia/llm/providers/exchange.py",
        "said if _REQUEST_ID.fullmatch(said) else",
        "said if _REQUEST_ID else",
        _LEAKS,
    ),
    Mutant(
        "a redirect is taken for an answer",
        _CONNECTION,
        "        if response.status != 200:\n",
        "        if response.status >= 400:\n",
        _BOUNDS,
    ),
    Mutant(
        "an answer may be as large as it likes",
        _CONNECTION,
        "            if size > MOST_BYTES:\n",
        "            if size < 0:\n",
        _BOUNDS,
    ),
    Mutant(
        "everything that the SDKs say of this machine is sent",
        _CONNECTION,
        "for name, value in request.headers.multi_items() if name in SENT_HEADERS]",
        'for name, value in request.headers.multi_items() if name != "user-agent"]',
        _SENT,
    ),
    Mutant(
        "a provider is asked before there is room for it",
        _CONNECTION,
        "            await exchange.admitted()\n",
        "            await asyncio.sleep(0)\n",
        ("tests/contracts/test_providers.py",),
    ),
    Mutant(
        "who hangs up while it is charged pays nothing",
        "echolia/llm/service.py",
        "        used = await asyncio.shield(settled)\n",
        "        used = await settled\n",
        ("tests/llm/test_service.py",),
    ),
    Mutant(
        "parts of a count may be more than the whole",
        _ADAPTER,
        "        cached = min(told.cached, told.input)\n",
        "        cached = told.cached\n",
        _READ,
    ),
    Mutant(
        "Anthropic's cached tokens are not counted",
        _ANTHROPIC,
        'told.get("input_tokens", 0) + cached + written',
        'told.get("input_tokens", 0)',
        _READ,
    ),
    Mutant(
        "Google's thinking is not counted",
        _GOOGLE,
        "count(told.candidates_token_count) + thoughts",
        "count(told.candidates_token_count)",
        _READ,
    ),
    Mutant(
        "a call whose arguments are broken is told as it is",
        _ADAPTER,
        "    except (ValueError, RecursionError):\n        return None\n",
        "    except (ValueError, RecursionError):\n        parsed = {}\n",
        _FAULTS,
    ),
    Mutant(
        "what a provider lacks is asked all the same",
        _ADAPTER,
        "        if not ask.needs <= self.abilities:\n",
        "        if not self.abilities <= self.abilities:\n",
        ("tests/contracts/test_providers.py",),
    ),
)
