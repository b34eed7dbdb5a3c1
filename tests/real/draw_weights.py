"""Weights drawn at random, with a fixed seed, for a folder of `write_tiny_gemma.py`: python draw_weights.py FOLDER."""

from __future__ import annotations

import sys


def main(folder: str) -> None:
    import torch
    from transformers import AutoConfig, Gemma3ForConditionalGeneration

    torch.manual_seed(0)
    model = Gemma3ForConditionalGeneration(AutoConfig.from_pretrained(folder)).to(torch.float32)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
