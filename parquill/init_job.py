"""`parquill init MANIFEST`: a job file that fits a manifest, to start from.

It looks at the columns and the first rows: which column is an id (unique and not null over the
whole manifest, and called or written like one: of two rows every label is unique), which hold
pictures or documents, which text the prompt can be made of. What it guesses it says in a comment,
so that a person can put it right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from parquill.errors import ManifestError
from parquill.job import Job
from parquill.manifest import Manifest, open_manifest
from parquill.text import printable

_SAMPLE = 200
_ID_NAMES = re.compile(
    r"(?i:(^|[_\W])(id|uuid|guid|key|sku|asin|isbn|ean|gtin|pk|no|nr|number|index)$)|[a-z](Id|ID|Key|No)$"
)
_ID_VALUE = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}([0-9a-f]{8,32})?", re.IGNORECASE)
"""A UUID, or a digest in hexadecimal."""
_PROMPT_NAMES = re.compile(r"^(prompt|instruction|question|query|user_prompt|text_prompt)$", re.IGNORECASE)
_PICTURE_NAMES = re.compile(r"image|picture|photo|img|thumbnail", re.IGNORECASE)
_PICTURE_VALUE = re.compile(
    r"^data:image/|^(/9j/|iVBORw0KGgo|R0lGOD|UklGR)[\w+/=-]{48}|\.(jpe?g|png|webp|gif|avif|tiff?)([?#].*)?$",
    re.IGNORECASE,
)
"""The bare base64 of a picture as well: it begins as its signature does."""
_DOCUMENT_VALUE = re.compile(r"^data:application/pdf|^JVBERi0[\w+/=-]{48}|\.pdf([?#].*)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Guess:
    """What a manifest's columns seem to be for."""

    id_column: str | None
    unlike_ids: tuple[str, ...]
    """Columns that are unique, but neither called nor written like an id; looked for where there is no id."""
    images: tuple[str, ...]
    documents: tuple[str, ...]
    pictured: bool
    """No row that was looked at lacks a picture or document, where there are columns for them."""
    prompt_column: str | None
    texts: tuple[str, ...]
    """Short texts that a prompt may mention."""


def starter_job(manifest_path: str) -> str:
    """Return a job file (YAML with comments) for a manifest; raises `ManifestError` where it cannot be read."""
    manifest = open_manifest(_probe_job(manifest_path))
    names = manifest.columns.schema.names
    if not names:
        raise ManifestError(f"{manifest_path}: the manifest has no columns")
    columns: Mapping[str, list[Any]] = _first_rows(manifest, names)
    return _written(manifest_path, manifest, guess(manifest, columns))


def guess(manifest: Manifest, columns: Mapping[str, Sequence[Any]]) -> Guess:
    """Say what each column seems to be, from its name and its first values."""
    images = tuple(name for name, values in columns.items() if _holds(values, _PICTURE_VALUE, _PICTURE_NAMES, name))
    documents = tuple(name for name, values in columns.items() if _holds(values, _DOCUMENT_VALUE, None, name))
    rest = [name for name in columns if name not in images and name not in documents]
    likely = [name for name in rest if _ID_NAMES.search(name)]
    likely += [name for name in rest if name not in likely and _are_ids(columns[name])]
    id_column = next((name for name in likely if _is_key(manifest, name)), None)
    others = () if id_column else tuple(name for name in rest if name not in likely and _is_key(manifest, name))
    texts = [name for name in rest if name != id_column and _all_texts(columns[name])]
    prompt = next((name for name in texts if _PROMPT_NAMES.match(name)), None)
    shown = [columns[name] for name in (*images, *documents)]
    pictured = bool(shown) and all(
        any(leaf for cell in cells for leaf in _leaves(cell)) for cells in zip(*shown, strict=True)
    )
    rest = [name for name in texts if name != prompt]
    return Guess(id_column, others, images, documents, pictured, prompt, tuple(rest))


def _probe_job(path: str) -> Job:
    """The least job that opens a manifest."""
    return Job.model_validate(
        {
            "name": "init",
            "manifest": {"path": path, "keep_columns": []},
            "prompt": {"user": "-"},
            "output": {"path": "parquill-init-writes-nothing"},
        }
    )


def _first_rows(manifest: Manifest, names: Sequence[str]) -> dict[str, list[Any]]:
    rows = manifest.first_rows(names, _SAMPLE)
    return {name: rows.cells(name)[0] for name in names}


def _holds(values: Sequence[Any], pattern: re.Pattern[str], named: re.Pattern[str] | None, name: str) -> bool:
    found = [value for cell in values for value in _leaves(cell)]
    if not found:
        return False
    if all(isinstance(value, bytes) for value in found):
        return named is not None and bool(named.search(name))
    texts = [value for value in found if isinstance(value, str)]
    if sum(bool(pattern.search(text)) for text in texts) * 2 > len(found):
        return True
    links = all(text.startswith(("http://", "https://")) for text in texts)
    return named is not None and bool(named.search(name)) and bool(texts) and links


def _leaves(cell: Any) -> list[Any]:
    if isinstance(cell, dict):
        return [cell.get("bytes") or cell.get("path")] if cell.keys() & {"bytes", "path"} else []
    if isinstance(cell, list):
        return [leaf for item in cell for leaf in _leaves(item)]
    return [] if cell is None else [cell]


def _is_key(manifest: Manifest, name: str) -> bool:
    """Whether a column of strings or whole numbers is unique and not null over all rows."""
    seen: set[int] = set()
    rows = 0
    for chunk in manifest.read((name,)):
        values, unfit = chunk.cells(name)
        if unfit or None in values or not all(isinstance(value, (str, int)) for value in values[:10]):
            return False
        seen.update(map(hash, values))
        rows += len(values)
        if len(seen) < rows:
            return False
    return True


def _are_ids(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and _ID_VALUE.fullmatch(value) for value in values)


def _all_texts(values: Sequence[Any]) -> bool:
    return any(values) and all(value is None or isinstance(value, str) for value in values)


_REQUIRED = ("images:", "  required: true                       # a row without a picture fails, and is not paid")


def _written(path: str, manifest: Manifest, found: Guess) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePosixPath(path.partition("?")[0]).stem).strip("-.") or "job"
    files = len({one.source.name for one in manifest.slices})
    lines = [
        f"# A job for {printable(path)}: {manifest.rows:,} rows in {files} file(s).",
        "# Lines with a question mark are guesses: put them right, then: parquill estimate, parquill run.",
        f"name: {name}",
        "manifest:",
        f"  path: {_yaml(path)}",
        *_id_lines(found),
        *_value_lines("image_columns", found.images),
        *_value_lines("document_columns", found.documents),
        *(_REQUIRED if found.pictured else ()),
        "prompt:",
        *_prompt_lines(found),
        "output:",
        f"  path: {_yaml(f'out/{name}')}",
        "  # schema: my-schema.json             # a JSON Schema makes `answer` a typed struct",
        "model:",
        "  name: google/gemma-3-4b-it",
        "  endpoint: openrouter                 # or emulator (a rehearsal), or any OpenAI-compatible base URL",
        "  max_tokens: 256",
        '  # price: {prompt: "0", completion: "0"} # USD per token, for an endpoint that names none (your own server):',
        "  #                                      without a price, budget.usd cannot be kept and is refused",
        "budget:",
        '  usd: "1.00"                          # a hard cap; or tokens: 1000000, which needs no price',
    ]
    return "\n".join(lines) + "\n"


def _id_lines(found: Guess) -> list[str]:
    if found.id_column is not None:
        return [f"  id_column: {_yaml(found.id_column)}"]
    if not found.unlike_ids:
        return ["  # no column is unique and not null: rows are named by their position (`row`)"]
    name = _yaml(found.unlike_ids[0])
    return [
        f"  # id_column: {name}   # ? unique so far, but neither called nor written like an id: without one, rows",
        "  # are named by their position (`row`)",
    ]


def _value_lines(key: str, columns: Sequence[str]) -> list[str]:
    return [f"  {key}: [{', '.join(map(_yaml, columns))}]   # ?"] if columns else []


def _prompt_lines(found: Guess) -> list[str]:
    if found.prompt_column is not None:
        return [f"  user_column: {_yaml(found.prompt_column)}   # ?"]
    simple = [name for name in found.texts if name.isidentifier()][:3]
    what = "this document" if found.documents else "this picture" if found.images else "this row"
    known = " ".join(f"{name}: {{{{ {name} or '' }}}}." for name in simple)
    return [f"  user: {_yaml(f'Describe {what} in one or two sentences. {known}'.strip())}   # ?"]


def _yaml(text: str) -> str:
    """A string that a job file reads back as it is: JSON strings are YAML.

    What turns text around or speaks to a terminal is written as an escape.
    """
    plain = re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./*=-]*", text)
    return (
        text
        if plain and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off")
        else re.sub(".", _escaped, json.dumps(text.replace("${", "$${"), ensure_ascii=False), flags=re.DOTALL)
    )


def _escaped(sign: re.Match[str]) -> str:
    return sign[0] if sign[0].isprintable() else json.dumps(sign[0])[1:-1]
