"""A folder that vLLM takes for Gemma 3: its shape and its tokenizer, tiny, and no weights.

python write_tiny_gemma.py TOKENIZER_FOLDER FOLDER, then serve FOLDER with `--load-format dummy`,
which draws the weights at random (`draw_weights.py` writes them where a server wants
a file). Pictures are decoded, shrunk and counted as ever: 896 pixels in patches of 14, pooled to 256
tokens. TOKENIZER_FOLDER holds tokenizer.json and tokenizer_config.json.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

TEXT = {
    "model_type": "gemma3_text", "vocab_size": 262208, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
    "max_position_embeddings": 8192, "sliding_window": 512,
}  # fmt: skip
VISION = {
    "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "image_size": 896, "patch_size": 14,
}  # fmt: skip
CONFIG = {
    "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "dtype": "bfloat16",
    "text_config": TEXT, "vision_config": VISION, "mm_tokens_per_image": 256, "boi_token_index": 255999,
    "eoi_token_index": 256000, "image_token_index": 262144, "eos_token_id": [1, 106], "tie_word_embeddings": True,
}  # fmt: skip
PICTURES = {
    "image_processor_type": "Gemma3ImageProcessor", "processor_class": "Gemma3Processor", "do_normalize": True,
    "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "image_seq_length": 256,
    "resample": 2, "rescale_factor": 1 / 255, "size": {"height": 896, "width": 896},
}  # fmt: skip


def main(tokenizer: str, folder: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(tokenizer) / name, out)
    template = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    (out / "chat_template.jinja").write_text(template, encoding="utf-8")
    processor = {"image_seq_length": 256, "processor_class": "Gemma3Processor"}
    for name, content in (("config", CONFIG), ("preprocessor_config", PICTURES), ("processor_config", processor)):
        (out / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
