"""Jobs whose endpoint is the emulator's own arithmetic, called here without HTTP.

Simulated: a prompt's tokens and an answer's length, by the emulator's functions, at settings that differ
from job to job: kind of text, pictures, prices, schema, answers' length and its spread. `follows` lets answers
grow with their prompts as translations do, which the emulator's do not. Real: the counter, the lengths,
the calibration's choice of rows, and the interval. The emulator counts pieces of text, not Gemma's tokens, so
its counts differ from the counter's as another tokenizer's would.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.emulator.answers import sample
from parquill.emulator.prose import sentences
from parquill.emulator.schemas import SchemaWriter
from parquill.emulator.settings import Spread
from parquill.emulator.tokens import count_prompt, count_text
from parquill.estimation.calibrate import strata
from parquill.estimation.estimate import Cost
from parquill.estimation.interval import Errors, Sums, Totals
from parquill.estimation.sample_size import rows_wanted
from parquill.job import ModelSettings
from parquill.prices import Price, PriceSource, Rates, Surplus
from parquill.text import language_group
from parquill.tokens import AnswerLength, TokenCounter, TokenEstimate, TokenEstimates

MAX_TOKENS = 256
NANO = 10**9
PICTURE = ImagePart("https://pictures.example/1.jpg")
SCHEMAS = Path(__file__).parents[2] / "configs" / "schemas"

ENGLISH = str.split(
    "the photo of a red leather handbag with brass clasp on wooden table beside window soft light from left "
    "describe title colour material item number quality new used vintage"
)
CHINESE = "请用两句话描述这张红色皮革手提包的照片然后列出颜色和材质"


@dataclass(frozen=True)
class Setting:
    """One job's side of the world. `pictures` a row: 0, 1, or up to 3 where it is negative."""

    kind: int
    pictures: int
    system: bool
    rates: Rates
    answers: Spread
    schema: str | None = None
    follows: bool = False


CAPTIONS = Setting(0, pictures=1, system=True, rates=Rates(20 * NANO, 40 * NANO), answers=Spread(40, 0.4))
"""A picture in each row, answers as the emulator gives them by default; a token out costs two of those in."""


def any_setting(rng: random.Random) -> Setting:
    return Setting(
        kind=rng.randrange(5),
        pictures=rng.choice((0, 0, 1, 1, -3)),
        system=rng.random() < 0.5,
        rates=Rates(rng.choice([20, 50, 80]) * NANO, rng.choice([40, 100, 450]) * NANO),
        answers=Spread(rng.uniform(10, 110), rng.uniform(0, 0.6)),
        schema=rng.choice((None, None, "caption", "tag")),
    )


def text(rng: random.Random, kind: int) -> str:
    words = rng.randint(15, 120)
    if kind == 0:
        return " ".join(rng.choices(ENGLISH, k=words))
    if kind == 1:
        return "".join(rng.choices(CHINESE, k=2 * words))
    if kind == 2:
        return " ".join(str(rng.randint(0, 99_999)) for _ in range(words // 3 + 1))
    if kind == 3:
        return '{"' + '","'.join(rng.choices(ENGLISH, k=words // 2 + 1)) + '"}'
    return text(rng, rng.randrange(4))


class SimulatedJob:
    """A job of `rows` rows, and what each of them will be billed for."""

    def __init__(self, seed: int, given: Setting | None = None, rows: int = 300) -> None:
        rng = random.Random(seed)
        self.setting = given or any_setting(rng)
        self.price = Price(self.setting.rates, self.setting.rates, PriceSource.JOB)
        self._schema: Any = self.setting.schema and json.loads((SCHEMAS / f"{self.setting.schema}.json").read_text())
        system = (Turn("system", ("You write captions.",)),) if self.setting.system else ()
        most = self.setting.pictures
        self.images = np.array([most if most >= 0 else rng.randint(0, -most) for _ in range(rows)], np.int32)
        texts = [text(rng, self.setting.kind) for _ in range(rows)]
        names = [language_group(said) for said in texts]
        self._writing = np.array([sorted(set(names)).index(name) for name in names], np.int32)
        self.requests = [
            ChatRequest((*system, Turn("user", (said, *[PICTURE] * images))))
            for said, images in zip(texts, self.images.tolist(), strict=True)
        ]
        self.billed = [self._bill(said, images, rng) for said, images in zip(texts, self.images.tolist(), strict=True)]

    def _bill(self, said: str, images: int, rng: random.Random) -> tuple[int, int]:
        system = "You write captions." if self.setting.system else None
        prompt = count_prompt(system, [[said, *[None] * images]])
        length = sample(rng, self.setting.answers)
        if self._schema:
            written = SchemaWriter(self._schema, rng, words=round(length / 6)).value()
            return prompt, min(count_text(orjson.dumps(written).decode()), MAX_TOKENS)
        if self.setting.follows:
            length *= count_text(said) / 100
        return prompt, sentences(rng, min(round(length), MAX_TOKENS))[1]

    def estimate(self, calibrate: int) -> tuple[Cost, int]:
        """Return the estimate of the rows that are left after calibrating, and what they cost."""
        left, sums, counter, length = self._learnt(calibrate)
        cost = Totals(sums, Errors.of(sums, counter, length), self.price).cost()
        assert cost is not None
        return cost, sum(self.price.cost_pico(*self.billed[row], int(self.images[row])) for row in left)

    def wanted(self, calibrate: int) -> int | None:
        """Return how many rows more are said to make the interval narrow, after so many."""
        _, sums, counter, length = self._learnt(calibrate)
        return rows_wanted(sums, counter, length, self.price, Surplus())

    def _learnt(self, calibrate: int) -> tuple[list[int], Sums, TokenCounter, AnswerLength]:
        """The rows that are left after calibrating, their sums, and what was learnt."""
        counter, length = TokenCounter(ModelSettings()), AnswerLength(MAX_TOKENS, self._schema)
        estimates = list(counter.count_requests(self.requests))
        sent = self._send(calibrate, estimates, counter, length) if calibrate else frozenset()
        left = [row for row in range(len(self.billed)) if row not in sent]
        sums = self._sums(left, counter.count_requests([self.requests[row] for row in left]), length)
        return left, sums, counter, length

    def ideal_half(self, calibrate: int) -> float:
        """Half of the 95 % interval, as a share, of one who knows every prompt's tokens and the answers'
        true spread, and has the mean of `calibrate` answers to go by."""
        answers = np.array([completion for _, completion in self.billed], float)
        prompts = np.array([prompt for prompt, _ in self.billed], float)
        if self.setting.follows:
            answers -= np.polyval(np.polyfit(prompts - 260 * self.images, answers, 1), prompts - 260 * self.images)
        left = len(answers) - calibrate
        error = answers.std() * math.sqrt(left * left / calibrate + left)
        actual = [self.price.cost_pico(*billed) for billed in self.billed]
        return 1.96 * error * self.setting.rates.completion / 10**6 / (sum(actual) * left / len(answers))

    def _send(
        self, wanted: int, estimates: Sequence[TokenEstimate], counter: TokenCounter, length: AnswerLength
    ) -> frozenset[int]:
        tokens = np.array([one.expected for one in estimates])
        chosen = strata(np.arange(len(tokens)), self.images, self._writing, tokens, wanted)
        for row in chosen:
            prompt, completion = self.billed[row]
            counter.observe(estimates[row], int(self.images[row]), prompt, "emulator")
            length.observe(completion, prompt, int(self.images[row]))
        return chosen

    def _sums(self, left: Sequence[int], estimates: TokenEstimates, length: AnswerLength) -> Sums:
        sums, images = Sums(), self.images[left].astype(np.int64)
        pictures = images.tolist()
        sums.add_rows(
            estimates.expected,
            length.expect_all(estimates.expected, images),
            [*map(self.price.cost_pico, estimates.expected.tolist(), [0] * len(left), pictures)],
            estimates.formula - 260 * images,
            images,
        )
        sums.worst_pico = sum(map(self.price.worst_pico, estimates.upper.tolist(), [MAX_TOKENS] * len(left), pictures))
        return sums
