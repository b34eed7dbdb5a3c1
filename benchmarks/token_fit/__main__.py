"""Fit, measure, and write what the project keeps: `python -m benchmarks.token_fit`."""

from __future__ import annotations

import base64
import random
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Tokenizer

from benchmarks.token_fit import corpora, model, samples, sources
from benchmarks.token_fit.measure import measure, measure_new_kind, table
from parquill.tokens.estimator import Coefficients, FittedMeter

ROOT = Path(__file__).parents[2]
COEFFICIENTS = ROOT / "parquill" / "tokens" / "coefficients.json"
SAMPLES = ROOT / "tests" / "data" / "token_samples.json"
PAGE = ROOT / "docs" / "tokens.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"


def main() -> None:
    folder = sources.tokenizer_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = corpora.gather()
    random.Random(2).shuffle(texts.learn)
    print(f"{len(texts.learn)} texts to learn from", flush=True)
    mergeable, single = vocabulary(tokenizer)

    def meter(learn: list[tuple[str, str]]) -> FittedMeter:
        sample = model.prepare(tokenizer, [text for _, text in learn])
        pairs, quads = (model.quantized(table) for table in model.tune(model.start(sample), sample))
        fitted.update(pairs=pairs, quads=quads)
        return FittedMeter(Coefficients(pairs, quads, mergeable, single, 0.0, 0.0))

    fitted: dict[str, npt.NDArray[np.int8]] = {}
    without = meter([(source, text) for source, text in texts.learn if source != "declaration"])
    new_kind = measure_new_kind(without, tokenizer, texts)
    kinds = measure(meter(texts.learn), tokenizer, texts)
    errors = {kind: error.rounded() for kind, error in kinds.items()}
    record = {
        "about": "Written by `python -m benchmarks.token_fit`; errors on texts held back, as shares of their tokens.",
        "tokenizer": f"Gemma 3 (npm {'@'.join(sources.TOKENIZER)})",
        "mean_error": round(new_kind.job_rms, 4),
        "spread": round(new_kind.spread, 4),
        "errors": errors,
        "pairs": packed(fitted["pairs"].tobytes()),
        "quads": packed(fitted["quads"].tobytes()),
        "mergeable": packed(np.packbits(mergeable.reshape(-1)).tobytes()),
        "single": packed(np.packbits(single[: int(np.flatnonzero(single)[-1]) + 1]).tobytes()),
    }
    COEFFICIENTS.write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2) + b"\n")
    SAMPLES.write_bytes(samples.make(tokenizer, texts, folder))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(kinds, new_kind)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    print(table(kinds, new_kind))


def vocabulary(tokenizer: Tokenizer) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pairs of printable ASCII can be merged, and which code points are tokens of their own.

    The tokenizer holds a space as U+2581. A token that is matched before merging (a newline, a
    tab) never merges, but none is a single printable character.
    """
    known = tokenizer.get_vocab()
    merges = {tuple(pair) for pair in orjson.loads(tokenizer.to_str())["model"]["merges"]}
    single = np.zeros(0x110000, np.bool_)
    single[[ord(token) for token in known if len(token) == 1]] = True
    single[0x20] = True
    mergeable = np.zeros((128, 128), np.bool_)
    written = {code: chr(code).replace(" ", "\u2581") for code in range(0x20, 0x7F)}
    for before, first in written.items():
        for after, second in written.items():
            mergeable[before, after] = (first, second) in merges
    return mergeable, single


def packed(data: bytes) -> str:
    """Bytes as they stand in the JSON file."""
    return base64.b64encode(zlib.compress(data, 9)).decode()


if __name__ == "__main__":
    main()
