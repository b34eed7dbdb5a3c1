"""Pictures fetched, shrunk and inlined from a local server, against Pillow one after another.

    python -m benchmarks.images [pictures]

The other side is what a simple script does: urllib, `Image.open`, a full decode, LANCZOS to
896 pixels, JPEG quality 85, base64. Ours keeps 200 pictures in flight through `ImageLoader`: its
CPU seconds are those of the parent and its workers; the server's are left out. Goals for
12-megapixel pictures: half the CPU seconds for each 1,000, and less than 700 MB in parent and
workers together. Web-sized pictures are shown beside them: nothing is to be saved by decoding
at a reduced scale there, so they show what safety costs.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from PIL import Image, ImageOps

from parquill.clock import SystemClock
from parquill.images import ImageLoader
from parquill.job import DocumentSettings, ImageSettings

IN_FLIGHT = 200
GOAL_RATIO = 2.0
GOAL_MEGABYTES = 700
SIZES = {"12 megapixels": (4000, 3000), "2 megapixels": (1600, 1200)}

SERVER = """
import asyncio, sys
pictures = [open(path, "rb").read() for path in sys.argv[1:]]
async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\\r\\n\\r\\n"):
            body = pictures[int(head.split(b" ", 2)[1][1:].split(b"?")[0])]
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
            writer.write(body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def listen():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(listen())
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a way of working gave and cost; CPU seconds are for each 1,000 pictures."""

    a_second: float
    cpu_seconds: float
    megabytes: float


def photo(width: int, height: int, number: int) -> bytes:
    """A JPEG with as much detail as a phone's: about a third of a byte for each pixel."""
    rough = Image.effect_noise((width // 8, height // 8), 90).resize((width, height), Image.Resampling.BICUBIC)
    fine = Image.effect_noise((width, height), 14)
    waves = Image.radial_gradient("L").resize((width, height)).rotate(number * 40)
    bands = (rough, Image.blend(rough, fine, 0.5), Image.blend(waves, fine, 0.4))
    file = io.BytesIO()
    Image.merge("RGB", bands).save(file, "JPEG", quality=88)
    return file.getvalue()


@contextmanager
def server(pictures: list[bytes]) -> Iterator[int]:
    """A server in its own process; yields its port. `/N` is the N-th picture."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(len(pictures))]
        for path, data in zip(paths, pictures, strict=True):
            path.write_bytes(data)
        with subprocess.Popen([sys.executable, "-c", SERVER, *paths], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield int(process.stdout.readline())
            process.kill()


def simple(url: str) -> str:
    """One picture as a simple script does it."""
    with urllib.request.urlopen(url) as answer:
        picture = Image.open(io.BytesIO(answer.read()))
    picture.load()
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    scale = 896 / max(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def one_after_another(urls: list[str]) -> Measured:
    start, cpu = time.perf_counter(), family_cpu()
    for url in urls:
        simple(url)
    spent, cpu = time.perf_counter() - start, family_cpu() - cpu
    return Measured(len(urls) / spent, cpu / len(urls) * 1000, family_megabytes())


async def through_the_loader(urls: list[str], port: int) -> Measured:
    settings = ImageSettings(send="inline", allow_private=True, allow_ports=(port,))
    loader = ImageLoader(settings, DocumentSettings(), manifest_folder=".", endpoint_fetches=False, clock=SystemClock())
    left, peak = iter(urls), 0.0

    async def take() -> None:
        for url in left:
            await loader.parts(loader.check(url))

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, family_megabytes())
            await asyncio.sleep(0.2)

    cpu, start = family_cpu(), time.perf_counter()
    watching = asyncio.ensure_future(watch())
    async with loader:
        await asyncio.gather(*(take() for _ in range(IN_FLIGHT)))
        spent = time.perf_counter() - start
    watching.cancel()
    return Measured(len(urls) / spent, (family_cpu() - cpu) / len(urls) * 1000, peak)


def family_cpu() -> float:
    """CPU seconds of this process and of the workers that have ended."""
    ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in ours)


def family_megabytes() -> float:
    """Resident memory of this process and its workers; what they share counts for each."""
    total = psutil.Process().memory_info().rss
    for process in psutil.Process().children():
        with suppress(psutil.Error):  # a worker may be gone by now
            total += process.memory_info().rss if "parquill.images.sandbox" in " ".join(process.cmdline()) else 0
    return total / 1e6


def compare(name: str, size: tuple[int, int], count: int) -> None:
    """Measure both ways with pictures of one size, and print what came out."""
    pictures = [photo(*size, number) for number in range(4)]
    with server(pictures) as port:
        urls = [f"http://127.0.0.1:{port}/{number % 4}?n={number}" for number in range(count)]
        theirs = one_after_another(urls[: max(20, count // 5)])
        ours = asyncio.run(through_the_loader(urls, port))
    megabytes = sum(map(len, pictures)) / len(pictures) / 1e6
    print(f"{name}, {megabytes:.1f} MB each, {count} pictures, {IN_FLIGHT} in flight, {os.cpu_count()} cores")
    print(f"  Pillow, one after another  {theirs.a_second:7.1f} a second  {theirs.cpu_seconds:6.1f} CPU s / 1,000")
    print(f"  ImageRoom                  {ours.a_second:7.1f} a second  {ours.cpu_seconds:6.1f} CPU s / 1,000")
    ratio = theirs.cpu_seconds / ours.cpu_seconds
    print(f"  {ratio:.1f} x less CPU (goal {GOAL_RATIO}), peak {ours.megabytes:.0f} MB (goal below {GOAL_MEGABYTES})")


def main() -> None:
    """Compare at both sizes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    for name, size in SIZES.items():
        compare(name, size, count if size[0] > 2000 else 2 * count)


if __name__ == "__main__":
    main()
