"""Models that tests name as `tests.schema_models:NAME`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys
from decimal import Decimal
from typing import Annotated, Any, NotRequired

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    RootModel,
    SecretStr,
    TypeAdapter,
    computed_field,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict


class Span(BaseModel):
    name: str
    first: int
    last: int = 10

    @field_validator("name")
    @classmethod
    def upper(cls, name: str) -> str:
        if name != name.upper():
            raise ValueError("must be upper case")
        return name

    @model_validator(mode="after")
    def order(self) -> Span:
        if self.first > self.last:
            raise ValueError("first must not exceed last")
        return self


def stripped(text: Any) -> Any:
    return text.strip() if isinstance(text, str) else text


class Offer(BaseModel):
    title: Annotated[str, BeforeValidator(stripped), AfterValidator(str.title)]
    price: Decimal
    day: dt.date
    site: HttpUrl
    key: SecretStr
    tags: set[str] = Field(default_factory=set)

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorator above a property
    @property
    def label(self) -> str:
        return f"{self.title} {self.price}"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: dt.date
    marks: set[int] | None = None


@dataclasses.dataclass
class Boat:
    name: str
    length: Annotated[float, AfterValidator(lambda length: round(length, 1))]


class Film(TypedDict):
    title: Annotated[str, AfterValidator(str.upper)]
    year: NotRequired[int]


class Films(RootModel[list[Film]]):
    pass


class Prices(RootModel[dict[str, Decimal]]):
    pass


class Catalog(BaseModel):
    prices: dict[str, Decimal]


class Renamed(BaseModel):
    size: int = Field(validation_alias=AliasChoices("Size", "SIZE"))
    word: Annotated[str, AfterValidator(str.upper)]


class Widened(BaseModel):
    count: Annotated[int, AfterValidator(lambda count: f"{count} pieces")]


class OddError(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("not even a text")


def failing(how: str) -> str:
    if how == "exit":
        sys.exit(3)
    if how == "odd":
        raise OddError
    if how == "deep":
        return failing(how)
    return str({}[how])


class Fragile(BaseModel):
    how: Annotated[str, AfterValidator(failing)]


ADAPTER = TypeAdapter(Boat)
FUNCTION = failing
