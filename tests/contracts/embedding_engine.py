"""What every engine keeps: the suite runs on each entry of `ENGINES`; a further engine is one more line."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import isfinite, sqrt
from typing import Final

import pytest

from echolia.core.errors import EcholiaError
from echolia.core.model_identity import identity_of
from echolia.core.windows import MOST_WINDOWS, nearness
from echolia.engines.deterministic import DeterministicEngine
from echolia.engines.port import Engine
from echolia.engines.whole_texts import embed_texts, lay
from tests.support.real_model import REFERENCE_INSTALLED, real_model, reference

ENGINES: Final[Mapping[str, Callable[[], Engine]]] = {
    "deterministic": DeterministicEngine,
    "onnx": real_model,
    **({"reference": reference} if REFERENCE_INSTALLED else {}),
}
TEXTS: Final = [
    "Rain in the garden",
    "The bank raised its rates",
    "",
    "hm",
    "Ein Wort, ün peu d'autre 日記 🙂",
]
WORDS: Final = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "near",
    "our",
    "old",
    "house",
)


def text_of(words: int) -> str:
    """So many words."""
    return " ".join(WORDS[n * n % len(WORDS)] for n in range(words))


def alike(one: array[float], other: array[float]) -> bool:
    """Whether two vectors are the same but for rounding."""
    return nearness(one, other) >= 0.99999


class EngineContract:
    """Run on each engine."""

    def test_a_vector_is_of_the_models_form(self, engine: Engine) -> None:
        identity = engine.model.identity
        for vector in embed_texts(engine, TEXTS):
            assert (vector.typecode, len(vector)) == ("f", identity.dimensions)
            assert all(map(isfinite, vector))
            assert sqrt(sum(part * part for part in vector)) == pytest.approx(1, abs=1e-5)

    def test_it_says_which_model_it_is(self, engine: Engine) -> None:
        told = engine.model.as_json()
        assert identity_of(told) == engine.model.identity
        assert told["name"] and told["engine"]
        assert told["development"] == (told["engine"] == "deterministic")

    def test_the_same_text_has_the_same_vector_alone_and_among_others(self, engine: Engine) -> None:
        texts = [*TEXTS, text_of(150), text_of(40)]
        together = embed_texts(engine, texts)
        for text, vector in zip(texts, together, strict=True):
            assert alike(embed_texts(engine, [text])[0], vector)
        assert not alike(together[0], together[1])

    def test_tokens_are_those_of_the_whole_text(self, engine: Engine) -> None:
        (one,), (two,) = engine.tokens(["rain garden"]), engine.tokens(["rain garden " * 1000])
        assert list(two) == list(one) * 1000

    def test_a_full_window_is_taken(self, engine: Engine) -> None:
        (tokens,) = engine.tokens([text_of(engine.model.room * 2)])
        (vector,) = engine.embed([tokens[: engine.model.room]])
        assert len(vector) == engine.model.identity.dimensions

    def test_no_part_of_a_long_text_is_left_out(self, engine: Engine) -> None:
        long = text_of(700)
        (whole,), (more,) = (embed_texts(engine, [text]) for text in (long, long + " interest rates" * 20))
        assert len(lay(engine, [long]).windows) > 2
        assert nearness(whole, more) < 0.999

    def test_too_much_is_refused_and_not_cut(self, engine: Engine) -> None:
        fits = engine.model.room - engine.model.identity.overlap
        longest = "rain " * (MOST_WINDOWS * fits + engine.model.identity.overlap)
        assert len(lay(engine, [longest]).windows) == MOST_WINDOWS
        for texts in ([longest + "rain"], [longest, "rain"]):
            with pytest.raises(EcholiaError) as refused:
                lay(engine, texts)
            assert refused.value.code == "embedding_too_long"

    def test_threads_do_not_disturb_each_other(self, engine: Engine) -> None:
        texts = [text_of(length) for length in range(1, 20)]
        expected = embed_texts(engine, texts)
        with ThreadPoolExecutor(2) as threads:
            both = list(threads.map(lambda _: embed_texts(engine, texts), range(2)))
        for found in both:
            assert all(map(alike, found, expected))
