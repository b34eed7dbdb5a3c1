"""PDFs: pages as pictures, or their text; never a paid parser of the endpoint's.

* `selection` — which pages are taken, and the messages where that cannot be: pure.
* `pages` — drawing and reading them with pypdfium2; runs in the worker processes of `images` only.

Where a document comes from, and how its pages travel, is the business of `images`: a PDF value
has the same forms as a picture. Accepted trade-off: passwords are not asked for, an encrypted
document that does not open without one is `document_invalid`.
"""

from parquill.documents.pages import draw, read_text
from parquill.documents.selection import select_pages

__all__ = [
    "draw",
    "read_text",
    "select_pages",
]
