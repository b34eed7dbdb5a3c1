"""How often the truth lies inside the interval, over simulated jobs.

Simulated: the emulator's own functions for a prompt's tokens and an answer's length, called here without HTTP,
at settings that differ from job to job (kind of text, pictures, prices, answers' length and its spread).
Real: the counter, the lengths, the calibration's choice of rows, and the interval. The emulator counts pieces
of text, not Gemma's tokens, so its counts differ from the counter's as another tokenizer's would.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.emulator.answers import sample
from parquill.emulator.prose import sentences
from parquill.emulator.settings import Spread
from parquill.emulator.tokens import count_prompt
from parquill.estimate.calibrate import strata
from parquill.estimate.sums import Errors, Sums, Totals
from parquill.estimate.values import Cost
from parquill.job import ModelSettings
from parquill.prices import Price, PriceSource, Rates
from parquill.tokens import AnswerLength, TokenCounter, TokenEstimate

ROWS, MAX_TOKENS, JOBS = 300, 256, 100
NANO = 10**9

ENGLISH = str.split(
    "the photo of a red leather handbag with brass clasp on wooden table beside window soft light from left "
    "describe title colour material item number quality new used vintage"
)
CHINESE = "请用两句话描述这张红色皮革手提包的照片然后列出颜色和材质"


@dataclass(frozen=True)
class Setting:
    """One job's side of the world."""

    kind: int
    pictures: bool
    system: bool
    rates: Rates
    answers: Spread


def setting(rng: random.Random) -> Setting:
    return Setting(
        kind=rng.randrange(4),
        pictures=rng.random() < 0.5,
        system=rng.random() < 0.5,
        rates=Rates(rng.choice([20, 50, 80]) * NANO, rng.choice([40, 100, 450]) * NANO),
        answers=Spread(rng.uniform(10, 110), rng.uniform(0, 0.6)),
    )


def text(rng: random.Random, kind: int) -> str:
    words = rng.randint(15, 120)
    if kind == 0:
        return " ".join(rng.choices(ENGLISH, k=words))
    if kind == 1:
        return "".join(rng.choices(CHINESE, k=2 * words))
    if kind == 2:
        return " ".join(str(rng.randint(0, 99_999)) for _ in range(words // 3 + 1))
    return '{"' + '","'.join(rng.choices(ENGLISH, k=words // 2 + 1)) + '"}'


class Simulation:
    """A job whose endpoint is the emulator's arithmetic."""

    def __init__(self, seed: int, given: Setting | None = None) -> None:
        rng = random.Random(seed)
        self.setting = given or setting(rng)
        self.price = Price(self.setting.rates, self.setting.rates, PriceSource.JOB)
        self.images = int(self.setting.pictures)
        system = (Turn("system", ("You write captions.",)),) if self.setting.system else ()
        picture = (ImagePart("https://pictures.example/1.jpg"),) if self.setting.pictures else ()
        texts = [text(rng, self.setting.kind) for _ in range(ROWS)]
        self.requests = [ChatRequest((*system, Turn("user", (said, *picture)))) for said in texts]
        self.billed = [self._bill(said, rng) for said in texts]

    def _bill(self, said: str, rng: random.Random) -> tuple[int, int]:
        system = "You write captions." if self.setting.system else None
        prompt = count_prompt(system, [[said, *([None] if self.setting.pictures else [])]])
        length = min(round(sample(rng, self.setting.answers)), MAX_TOKENS)
        return prompt, sentences(rng, length)[1]

    def estimate(self, calibrate: int) -> tuple[Cost, int]:
        """Return the estimate of the rows that are left after calibrating, and what they cost."""
        counter, length = TokenCounter(ModelSettings()), AnswerLength(MAX_TOKENS)
        estimates = counter.count_requests(self.requests)
        sent = self._send(calibrate, estimates, counter, length) if calibrate else frozenset()
        left = [row for row in range(ROWS) if row not in sent]
        sums = self._sums(counter.count_requests([self.requests[row] for row in left]))
        errors = Errors(counter.mean_error, counter.spread)
        cost = Totals(sums, length.estimate(), errors, self.price).cost()
        assert cost is not None
        return cost, sum(self.price.cost_pico(*self.billed[row], self.images) for row in left)

    def _send(
        self, wanted: int, estimates: Sequence[TokenEstimate], counter: TokenCounter, length: AnswerLength
    ) -> frozenset[int]:
        tokens = np.array([one.expected for one in estimates])
        chosen = strata(np.arange(ROWS), np.full(ROWS, self.images, np.int32), tokens, wanted)
        for row in chosen:
            prompt, completion = self.billed[row]
            counter.observe(estimates[row], self.images, prompt, "emulator")
            length.observe(completion)
        return chosen

    def _sums(self, estimates: Sequence[TokenEstimate]) -> Sums:
        sums = Sums(rows=len(estimates), images=self.images * len(estimates))
        for one in estimates:
            words = one.formula - 260 * self.images
            sums.prompt_tokens += one.expected
            sums.prompt_pico += self.price.cost_pico(one.expected, 0, self.images)
            sums.worst_pico += self.price.worst_pico(one.upper, MAX_TOKENS, self.images)
            sums.text_tokens += words
            sums.text_squares += words * words
        return sums


@pytest.mark.parametrize("calibrate", [0, 50])
def test_the_cost_lies_inside_the_interval_in_at_least_93_of_100_jobs(calibrate: int) -> None:
    outcomes = [Simulation(seed).estimate(calibrate) for seed in range(JOBS)]
    inside = sum(cost.low_pico <= actual <= cost.high_pico for cost, actual in outcomes)
    assert inside >= 93


def test_no_job_costs_more_than_the_worst_case() -> None:
    outcomes = [Simulation(seed).estimate(0) for seed in range(30)]
    assert all(actual <= cost.worst_pico for cost, actual in outcomes)


def test_fifty_rows_bring_a_caption_jobs_interval_below_five_per_cent() -> None:
    """A picture in each row, answers as the emulator gives them by default; a token out costs two of those in."""
    given = Setting(0, pictures=True, system=True, rates=Rates(20 * NANO, 40 * NANO), answers=Spread(40, 0.4))
    for seed in range(20):
        cost, _ = Simulation(seed, given).estimate(50)
        assert (cost.high_pico - cost.low_pico) / 2 < 0.05 * cost.expected_pico


def test_calibrating_narrows_the_interval_of_every_job() -> None:
    for seed in range(20):
        (guess, _), (known, _) = Simulation(seed).estimate(0), Simulation(seed).estimate(50)
        assert _share(known) < _share(guess)


def _share(cost: Cost) -> float:
    return (cost.high_pico - cost.low_pico) / cost.expected_pico
