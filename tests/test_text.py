"""What letters tell of a text's language."""

from __future__ import annotations

import pytest

from parquill.text import language_group, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("A cup.", "Latin"),
        ("窓のそばの", "Kana"),
        ("湖边的楼阁", "Han"),
        ("صورة قطة", "Arabic"),
        ("घास", "Devanagari"),
        ("12 — !", "none"),
        ("Кот cat кот кот", "Cyrillic"),
    ],
)
def test_the_writing_system_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("Describe the cup.", "Plain"),
        ("", "Plain"),
        ("Beschreibe die Größe.", "Latin"),
        ("Describe this in two short sentences, please: 湖边的楼阁", "Han"),
        ("Опиши фото", "Cyrillic"),
        ("Nice! 😀😀", "none"),
    ],
)
def test_a_few_words_in_an_english_frame_tell_the_language(text: str, group: str) -> None:
    assert language_group(text) == group
