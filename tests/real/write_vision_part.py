"""Run in the server's environment: writes a vision tower of Gemma 3's shape with random weights.

python write_vision_part.py FILE. SigLIP's layout as llama.cpp reads it (`clip`, projector
`gemma3`): 896 pixels in patches of 14, pooled to 256 tokens a picture, one thin layer, and the
text model's 640 numbers a token. What it sees is noise; decoding, shrinking and counting are real.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from gguf import GGUFWriter

IMAGE, PATCH, WIDTH, INNER, TEXT = 896, 14, 32, 64, 640


def tensors(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.02).astype(np.float32)

    def zeros(size: int) -> np.ndarray:
        return np.zeros(size, np.float32)

    yield "v.patch_embd.weight", normal(WIDTH, 3, PATCH, PATCH)
    yield "v.patch_embd.bias", zeros(WIDTH)
    yield "v.position_embd.weight", normal((IMAGE // PATCH) ** 2, WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        yield f"v.blk.0.{name}.weight", normal(WIDTH, WIDTH)
        yield f"v.blk.0.{name}.bias", zeros(WIDTH)
    for name, rows, columns in (("ffn_up", INNER, WIDTH), ("ffn_down", WIDTH, INNER)):
        yield f"v.blk.0.{name}.weight", normal(rows, columns)
        yield f"v.blk.0.{name}.bias", zeros(rows)
    for name in ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln"):
        yield f"{name}.weight", np.ones(WIDTH, np.float32)
        yield f"{name}.bias", zeros(WIDTH)
    yield "mm.soft_emb_norm.weight", np.ones(WIDTH, np.float32)
    yield "mm.input_projection.weight", normal(WIDTH, TEXT)


def main(path: str) -> None:
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "gemma3")
    writer.add_bool("clip.use_gelu", True)
    for name, size in (
        ("image_size", IMAGE),
        ("patch_size", PATCH),
        ("embedding_length", WIDTH),
        ("feed_forward_length", INNER),
        ("block_count", 1),
        ("attention.head_count", 2),
        ("projection_dim", TEXT),
    ):
        writer.add_uint32(f"clip.vision.{name}", size)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    for name in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{name}", [0.5, 0.5, 0.5])
    for name, values in tensors(np.random.default_rng(270)):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
