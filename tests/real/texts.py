"""Short texts in six languages, no two alike, for tagging."""

from __future__ import annotations

import itertools

_FRAMES = {
    "en": (
        ["The {} arrived late today.", "My {} is broken, please help.", "I would like to return the {}.", "Great {}!"],
        ["train", "phone", "blue jacket", "invoice", "coffee machine"],
    ),
    "de": (
        ["Leider kam {} heute zu spät.", "Wo finde ich {}?", "Bitte schicken Sie mir {} zurück.", "Ich mag {} sehr."],
        ["der Zug", "das Telefon", "die Größentabelle", "die Rechnung", "das Frühstück"],
    ),
    "fr": (
        ["Où est {} ?", "J’ai perdu {} hier soir.", "Merci d’avoir livré {} à l’heure.", "Il manque {} à ma commande."],
        ["le train", "la télécommande", "le café", "la facture", "l’étiquette"],
    ),
    "es": (
        ["¿Dónde está {}?", "Quiero devolver {} mañana.", "{}, por favor, lo antes posible.", "No funciona {}."],
        ["el niño", "la habitación", "el desayuno", "la factura", "el teléfono"],
    ),
    "zh": (
        ["{}今天晚点了。", "请问{}在哪里？", "我想退掉{}。", "{}非常好，谢谢！"],
        ["火车", "手机", "蓝色外套", "发票", "早餐"],
    ),
    "ar": (
        ["أين {}؟", "وصل {} متأخراً اليوم.", "أريد إرجاع {} من فضلك.", "شكراً على {}."],
        ["القطار", "الهاتف", "الفطور", "المعطف الأزرق", "الطلب"],
    ),
}

SCHEMA = {
    "type": "object",
    "properties": {
        "language": {"type": "string", "enum": list(_FRAMES)},
        "topic": {"type": "string", "enum": ["travel", "food", "clothes", "money", "devices", "other"]},
        "urgent": {"type": "boolean"},
    },
    "required": ["language", "topic", "urgent"],
    "additionalProperties": False,
}


def tagging_rows(count: int) -> dict[str, list[str]]:
    """Columns id, language and text; languages take turns, so that every prefix has them all."""
    of_language = [
        [(code, frame.format(word)) for word, frame in itertools.product(words, frames)]
        for code, (frames, words) in _FRAMES.items()
    ]
    mixed = [row for rows in zip(*of_language, strict=True) for row in rows][:count]
    assert len({text for _, text in mixed}) == count
    return {
        "id": [f"t{number:03d}" for number in range(count)],
        "language": [code for code, _ in mixed],
        "text": [text for _, text in mixed],
    }
