"""Weights for a folder of `write_tiny_gemma.py`: python draw_weights.py FOLDER.

Drawn at random with a fixed seed, but for what makes answers end: weights that are only random say one word again and
again. Every position has one constant, and the last layer reads of it how likely a token is: 49 short words alike
(as many as are sampled from, beside the end of the turn), and the end of the turn after ten words on average.
"""

from __future__ import annotations

import math
import sys

WORDS, END_OF_TURN = 49, 106
AVERAGE = 10


def main(folder: str) -> None:
    import torch
    from transformers import AutoConfig, AutoTokenizer, Gemma3ForConditionalGeneration

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    model = Gemma3ForConditionalGeneration(config).to(torch.float32)
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    words = sorted(i for word, i in vocabulary.items() if word.startswith("▁") and word[1:].isalpha() and len(word) > 3)
    scale = math.sqrt(config.text_config.hidden_size)  # of the constant, after the last layer's normalisation
    with torch.no_grad():
        model.model.language_model.embed_tokens.weight[:, 0] = 10.0
        head = model.lm_head.weight
        head.normal_(0, 0.02)
        head[:, 0] = 0
        head[words[:WORDS], 0] = 2.0
        head[END_OF_TURN, 0] = 2.0 + math.log(WORDS / AVERAGE) / scale
    model.generation_config.do_sample = True
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
