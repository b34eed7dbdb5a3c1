"""Makes everything under data/samples/ but its two texts: `make_samples.py SCIKIT_IMAGE.whl SCIKIT_LEARN.whl`.

The photographs come out of two wheels, fetched with

    pip download --no-deps scikit-image==0.26.0 scikit-learn==1.9.1
    python -m tests.samples.make_samples scikit_image-*.whl scikit_learn-*.whl

Only pictures whose licence is settled are taken: data/samples/pictures/LICENSES.md says for
each who made it, under which licence, and what was changed.
"""

from __future__ import annotations

import base64
import io
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from tests.samples import papers
from tests.samples.rows import DATA_URL, ROWS

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
MAX_SIDE = 640
MAX_BYTES = 60_000
BROKEN_BYTES = 9_000
"""Enough of coffee.jpg for its header and a few rows of pixels: it opens, and cannot be decoded."""

SKIMAGE = "skimage/data/"
SKLEARN = "sklearn/datasets/images/"

SOURCES = {
    "astronaut.jpg": SKIMAGE + "astronaut.png",
    "brick.jpg": SKIMAGE + "brick.png",
    "camera.jpg": SKIMAGE + "camera.png",
    "cell.jpg": SKIMAGE + "cell.png",
    "chelsea.jpg": SKIMAGE + "chelsea.png",
    "china.jpg": SKLEARN + "china.jpg",
    "clock.jpg": SKIMAGE + "clock_motion.png",
    "coffee.jpg": SKIMAGE + "coffee.png",
    "grass.jpg": SKIMAGE + "grass.png",
    "gravel.jpg": SKIMAGE + "gravel.png",
    "horse.png": SKIMAGE + "horse.png",
    "hubble_deep_field.jpg": SKIMAGE + "hubble_deep_field.jpg",
    "retina.jpg": SKIMAGE + "retina.jpg",
    "text.png": SKIMAGE + "text.png",
}


def main(wheels: list[str]) -> None:
    """Write pictures, documents and both manifests."""
    pictures = SAMPLES / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    archives = [zipfile.ZipFile(wheel) for wheel in wheels]
    for name, source in SOURCES.items():
        (pictures / name).write_bytes(_picture(name, _read(archives, source)))
    (pictures / "broken.jpg").write_bytes((pictures / "coffee.jpg").read_bytes()[:BROKEN_BYTES])
    (pictures / "price_tag.png").write_bytes(_png(_price_tag()))
    (pictures / "receipt.png").write_bytes(_png(_receipt()))
    pq.write_table(_manifest(_data_url(pictures / "chelsea.jpg")), SAMPLES / "manifest.parquet")

    documents = SAMPLES / "documents"
    documents.mkdir(exist_ok=True)
    (documents / "letter.pdf").write_bytes(papers.letter())
    (documents / "invoice.pdf").write_bytes(papers.invoice())
    (documents / "handbook.pdf").write_bytes(papers.handbook())
    pq.write_table(_documents(), documents / "documents.parquet")


def _read(archives: list[zipfile.ZipFile], source: str) -> bytes:
    for archive in archives:
        if source in archive.namelist():
            return archive.read(source)
    raise SystemExit(f"none of the wheels holds {source}")


def _picture(name: str, data: bytes) -> bytes:
    """Return a PNG of the same pixels, or a JPEG that fits side and bytes; both without metadata."""
    image = Image.open(io.BytesIO(data))
    if name.endswith(".png"):
        image.load()
        image.info.clear()
        return _png(image)
    for side in (MAX_SIDE, 512, 448, 384, 320):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=82, optimize=True)
        if out.tell() <= MAX_BYTES:
            return out.getvalue()
    raise SystemExit(f"{name} does not fit {MAX_BYTES} bytes")


def _data_url(path: Path) -> str:
    image = Image.open(path)
    image.thumbnail((96, 96), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _price_tag() -> Image.Image:
    image = Image.new("RGB", (480, 300), "#d9c7a5")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((30, 30, 450, 270), radius=24, fill="#fffdf5", outline="#7a5c2e", width=4)
    draw.ellipse((54, 132, 84, 162), fill="#d9c7a5", outline="#7a5c2e", width=4)
    draw.text((110, 60), "Espresso cup, red", font=ImageFont.load_default(34), fill="#333333")
    draw.text((110, 115), "EUR 13.75", font=ImageFont.load_default(64), fill="#b3261e")
    draw.text((110, 205), "with saucer, 80 ml  ·  AC-050", font=ImageFont.load_default(22), fill="#555555")
    return image


def _receipt() -> Image.Image:
    image = Image.new("RGB", (360, 520), "#f7f7f4")
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(20), ImageFont.load_default(28)
    draw.text((96, 24), "CAFE FJORD", font=large, fill="black")
    draw.text((84, 62), "Kiel, 3 March 2026 9:41", font=ImageFont.load_default(16), fill="black")
    lines = (("2 Espresso", "4.80"), ("1 Flat white", "3.90"), ("2 Cinnamon roll", "6.40"), ("1 Tap water", "0.00"))
    y = 120
    for name, price in lines:
        draw.text((30, y), name, font=small, fill="black")
        draw.text((330, y), price, font=small, fill="black", anchor="ra")
        y += 40
    draw.line((30, y + 6, 330, y + 6), fill="black", width=2)
    draw.text((30, y + 24), "TOTAL EUR", font=large, fill="black")
    draw.text((330, y + 24), "15.10", font=large, fill="black", anchor="ra")
    draw.text((30, y + 90), "Paid by card. Thank you!", font=small, fill="black")
    return image


def _manifest(data_url: str) -> pa.Table:
    pictures = [None if row.pictures is None else [_filled(value, data_url) for value in row.pictures] for row in ROWS]
    return pa.table(
        {
            "id": pa.array([f"sample-{i:03d}" for i in range(1, len(ROWS) + 1)], pa.string()),
            "image_url": pa.array(pictures, pa.list_(pa.string())),
            "title": pa.array([row.title for row in ROWS], pa.string()),
            "language": pa.array([row.language for row in ROWS], pa.string()),
            "category": pa.array([row.category for row in ROWS], pa.string()),
            "question": pa.array([row.question for row in ROWS], pa.string()),
        }
    )


def _filled(value: str, data_url: str) -> str:
    return data_url if value == DATA_URL else value


def _documents() -> pa.Table:
    files = (("letter", "letter.pdf"), ("invoice", "invoice.pdf"), ("handbook", "handbook.pdf"))
    rows = [(name, kind, None) for kind, name in files] + [(None, kind, text) for kind, text in papers.TEXTS]
    return pa.table(
        {
            "id": pa.array([f"doc-{i:02d}" for i in range(1, len(rows) + 1)], pa.string()),
            "document": pa.array([name for name, _, _ in rows], pa.string()),
            "kind": pa.array([kind for _, kind, _ in rows], pa.string()),
            "text": pa.array([text for _, _, text in rows], pa.string()),
        }
    )


if __name__ == "__main__":
    main(sys.argv[1:])
