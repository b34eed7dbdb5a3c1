"""Pictures of few-shot examples: fingerprinted by what they are, opened once, before the first row.

Planning, verifying and estimating need to know which pictures they are, never what is in them; so
a turn holds a stand-in until a run opens them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parquill.chat import ImagePart
from parquill.errors import JobError, RowError
from parquill.images import ImageLoader, PictureValue
from parquill.prompts import Asking


def stand_ins(images: ImageLoader, pictures: dict[str, PictureValue]) -> Callable[[str], ImagePart]:
    """Return what turns an example's picture into its stand-in, noting the picture in `pictures`.

    It raises `JobError` for what can never be a picture.
    """

    def stand_in(source: str) -> ImagePart:
        try:
            (value,) = images.check_named_by_job(source)
        except (RowError, ValueError) as fault:
            raise JobError(f"prompt.examples: images: {fault}") from None
        name = f"example:{images.identity(value).hex()}"
        pictures[name] = value
        return ImagePart(name)

    return stand_in


async def with_pictures(asking: Asking, images: ImageLoader, pictures: Mapping[str, PictureValue]) -> Asking:
    """Open the pictures that stand-ins stand for; raises `JobError` for one that cannot be sent."""
    opened: dict[str, ImagePart] = {}
    for name, value in pictures.items():
        try:
            (opened[name],) = await images.parts((value,))
        except RowError as fault:
            raise JobError(f"prompt.examples: images: {fault.message}") from None
    return asking.with_pictures(opened) if opened else asking
