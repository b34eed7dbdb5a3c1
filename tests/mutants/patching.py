"""Gives functions of a module that is loaded the code of another text of it, in place.

Code that has imported the function, or holds it in a table, has the new code as well: it is the same function.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

_OPTIMIZED = 1
"""The flag of a function's code; that of a module or of a class's body has it not."""


def functions_in(folder: Path) -> list[FunctionType]:
    """Return the functions that are loaded from files of a folder."""
    found = (one for one in gc.get_objects() if type(one) is FunctionType)
    return [one for one in found if one.__code__.co_filename.startswith(f"{folder}/")]


def patched(loaded: Iterable[FunctionType], file: Path, before: str, after: str) -> bool:
    """Change those of the loaded functions whose code differs between two texts of a file.

    Returns False, with nothing changed, where something else differs, or where no such function is loaded.
    """
    try:
        pairs = list(_functions(compile(before, str(file), "exec"), compile(after, str(file), "exec")))
    except (SyntaxError, _ElsewhereError):
        return False
    ours = [one for one in loaded if one.__code__.co_filename == str(file)]
    changes = [(one, new) for old, new in pairs for one in ours if one.__code__ == old]
    if not changes or any(one.__code__.co_freevars != new.co_freevars for one, new in changes):
        return False
    for one, new in changes:
        one.__code__ = new
    return True


class _ElsewhereError(Exception):
    """Something differs that is no function's code."""


def _functions(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Yield the functions that differ, and the functions inside them."""
    if old == new:
        return
    olds, news = ([one for one in code.co_consts if isinstance(one, CodeType)] for code in (old, new))
    if old.co_flags & _OPTIMIZED:
        yield old, new
        if len(olds) == len(news):
            for pair in zip(olds, news, strict=True):
                yield from _functions(*pair)
        return
    if len(olds) != len(news) or _body(old) != _body(new):
        raise _ElsewhereError
    for pair in zip(olds, news, strict=True):
        yield from _functions(*pair)


def _body(code: CodeType) -> tuple[object, ...]:
    """What a module's or class's own code is, without the functions in it."""
    plain = [repr(one) for one in code.co_consts if not isinstance(one, CodeType)]
    return code.co_code, code.co_names, plain
