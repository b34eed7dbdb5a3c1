"""The rows of the sample manifest: what `make demo` asks.

Small on purpose, and uneven on purpose: ten languages, one to two pictures, none, a picture
as a data: URL, two on the web, duplicates, and one file that is broken. Each oddity is a row that
every manifest of real size has somewhere.
"""

from __future__ import annotations

from typing import NamedTuple

DATA_URL = "data: URL made of chelsea.jpg"
"""Stands for the picture that `make_samples` inlines: its bytes are known only there."""

EARTH = "https://upload.wikimedia.org/wikipedia/commons/9/97/The_Earth_seen_from_Apollo_17.jpg"
HOPPER = "https://upload.wikimedia.org/wikipedia/commons/5/55/Grace_Hopper.jpg"


class Row(NamedTuple):
    """One manifest row but for its id; `pictures` None is a null, () an empty list."""

    pictures: tuple[str, ...] | None
    title: str
    language: str
    category: str
    question: str


def _local(*names: str) -> tuple[str, ...]:
    return tuple(f"pictures/{name}" for name in names)


ENGLISH = (
    Row(_local("coffee.jpg"), "Espresso cup with saucer", "English", "kitchen", "Write a caption for the shop page."),
    Row(_local("chelsea.jpg"), "Cat portrait", "English", "animals", "What is in this photo? Name the main colours."),
    Row(_local("astronaut.jpg"), "Portrait of an astronaut", "English", "people", "Describe the clothes and the room."),
    Row(_local("camera.jpg"), "Photographer at work", "English", "people", "Describe the scene in one sentence."),
    Row(_local("china.jpg"), "Pavilion by the lake", "English", "places", "Write a caption for a travel catalogue."),
    Row(_local("hubble_deep_field.jpg"), "Deep field", "English", "space", "Explain to a child what this shows."),
    Row(_local("price_tag.png"), "Price tag", "English", "documents", "Read the tag: what is sold, and for how much?"),
    Row(_local("receipt.png"), "Shop receipt", "English", "documents", "Read the receipt and name its total."),
    Row(_local("gravel.jpg"), "Gravel, grey, 8-16 mm", "English", "garden", "Describe the texture for a builder."),
    # Duplicates: equal in all but the id, so the second is answered without a request.
    Row(_local("horse.png"), "Horse silhouette", "English", "animals", "Describe this clip art for a screen reader."),
    Row(_local("horse.png"), "Horse silhouette", "English", "animals", "Describe this clip art for a screen reader."),
    Row(
        _local("coffee.jpg", "price_tag.png"),
        "Espresso cup and its price tag",
        "English",
        "kitchen",
        "Does the tag belong to the thing in the first picture? Answer in the caption.",
    ),
    Row(None, "Linen tea towel, blue stripes", "English", "kitchen", "There is no photo yet: caption the title alone."),
    Row((EARTH,), "The Earth from Apollo 17", "English", "space", "Which continents can be seen?"),
    Row(
        _local("broken.jpg"), "Espresso cup, upload cut off", "English", "kitchen", "Write a caption for the shop page."
    ),
)

GERMAN = (
    Row(_local("coffee.jpg"), "Espressotasse mit Untertasse", "Deutsch", "kitchen", "Beschreibe das Produktfoto."),
    Row(_local("brick.jpg"), "Klinkerwand", "Deutsch", "garden", "Welches Muster hat das Mauerwerk?"),
    Row(
        _local("astronaut.jpg"), "Astronautin im Raumanzug", "Deutsch", "people", "Beschreibe Kleidung und Hintergrund."
    ),
    Row(
        _local("clock.jpg"), "Wanduhr, verwackelt", "Deutsch", "documents", "Ist das Foto scharf genug für den Katalog?"
    ),
    Row((), "Geschirrtuch aus Leinen", "Deutsch", "kitchen", "Noch ohne Foto: schreibe einen Text nur zum Titel."),
)

FRENCH = (
    Row(_local("chelsea.jpg"), "Portrait d'un chat", "Français", "animals", "Décris la photo en une phrase."),
    Row(_local("china.jpg"), "Pavillon au bord du lac", "Français", "places", "Rédige une légende pour un guide."),
    Row(_local("grass.jpg"), "Gazon", "Français", "garden", "Quelle texture voit-on ?"),
    Row((HOPPER,), "Grace Hopper", "Français", "people", "Décris l'uniforme sur la photo."),
)

SPANISH = (
    Row(_local("coffee.jpg"), "Taza de café", "Español", "kitchen", "Escribe un texto breve para la tienda."),
    Row(_local("retina.jpg"), "Fondo de ojo", "Español", "science", "Describe los colores y las formas de la imagen."),
    Row(_local("text.png"), "Apuntes a mano", "Español", "documents", "¿Contiene texto la imagen? ¿De qué tipo?"),
    Row(_local("horse.png"), "Silueta de caballo", "Español", "animals", "Describe el dibujo."),
)

PORTUGUESE = (
    Row(_local("camera.jpg"), "Fotógrafo no parque", "Português", "people", "Descreva a cena em uma frase."),
    Row(_local("gravel.jpg"), "Brita cinza", "Português", "garden", "Descreva a textura para o catálogo."),
    Row((DATA_URL,), "Gato", "Português", "animals", "Que animal é este?"),
)

CHINESE = (
    Row(_local("china.jpg"), "湖边的楼阁", "中文", "places", "请用一句话描述这张照片。"),
    Row(_local("coffee.jpg"), "意式浓缩咖啡杯", "中文", "kitchen", "为商品页面写一句说明。"),
    Row(_local("hubble_deep_field.jpg"), "哈勃深空", "中文", "space", "图中有哪些颜色?"),
)

ARABIC = (
    Row(_local("chelsea.jpg"), "صورة قطة", "العربية", "animals", "صف الصورة في جملة واحدة."),
    Row(_local("brick.jpg"), "جدار من الطوب", "العربية", "garden", "ما لون الجدار وما نمطه؟"),
    Row(_local("coffee.jpg"), "فنجان قهوة", "العربية", "kitchen", "اكتب وصفًا قصيرًا للمتجر."),
)

HINDI = (
    Row(_local("astronaut.jpg"), "अंतरिक्ष यात्री", "हिन्दी", "people", "इस तस्वीर का एक वाक्य में वर्णन करें।"),
    Row(_local("grass.jpg"), "घास", "हिन्दी", "garden", "इस बनावट का वर्णन करें।"),
    Row(_local("coffee.jpg"), "कॉफ़ी का प्याला", "हिन्दी", "kitchen", "दुकान के लिए छोटा विवरण लिखें।"),
)

JAPANESE = (
    Row(_local("coffee.jpg"), "エスプレッソカップ", "日本語", "kitchen", "商品ページの説明文を書いてください。"),
    Row(_local("cell.jpg"), "細胞", "日本語", "science", "画像に写っているものを説明してください。"),
    Row(_local("camera.jpg"), "カメラマン", "日本語", "people", "場面を一文で説明してください。"),
)

SWAHILI = (
    Row(_local("chelsea.jpg"), "Paka", "Kiswahili", "animals", "Eleza picha hii kwa sentensi moja."),
    Row(_local("grass.jpg", "gravel.jpg"), "Nyasi na kokoto", "Kiswahili", "garden", "Linganisha picha hizi mbili."),
)

ROWS = (
    *ENGLISH,
    *GERMAN,
    *FRENCH,
    *SPANISH,
    *PORTUGUESE,
    *CHINESE,
    *ARABIC,
    *HINDI,
    *JAPANESE,
    *SWAHILI,
)
