"""The smallest PDF writer that prints a business letter: A4, Helvetica, text, lines and boxes.

Written by hand so that the sample documents have the same bytes wherever they are made: no
dates, no ids, no compression. Characters are those of WinAnsiEncoding (Western European).
"""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 595, 842
"""A4 in points (1/72 inch); the origin is the lower left corner."""

_CATALOG, _PAGES, _REGULAR, _BOLD, _FIRST_PAGE = 1, 2, 3, 4, 5


class Page:
    """Marks on one page, in the order they are drawn."""

    def __init__(self) -> None:
        self._marks: list[str] = []

    def text(self, x: float, y: float, text: str, size: float = 10, *, bold: bool = False) -> None:
        """Print one line whose baseline starts at (x, y)."""
        quoted = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self._marks.append(f"BT /{'B' if bold else 'R'} {size:g} Tf {x:g} {y:g} Td ({quoted}) Tj ET")

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw a hairline."""
        self._marks.append(f"0.5 w {x1:g} {y1:g} m {x2:g} {y2:g} l S")

    def box(self, x: float, y: float, width: float, height: float, grey: float) -> None:
        """Fill a box; `grey` from 0 (black) to 1 (white)."""
        self._marks.append(f"q {grey:g} g {x:g} {y:g} {width:g} {height:g} re f Q")

    def content(self) -> bytes:
        """Return the page's content stream."""
        return "\n".join(self._marks).encode("cp1252")


def document(pages: Sequence[Page], title: str) -> bytes:
    """Return a PDF file of `pages`."""
    kids = " ".join(f"{_FIRST_PAGE + 2 * i} 0 R" for i in range(len(pages)))
    info = _FIRST_PAGE + 2 * len(pages)
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
    objects = [
        f"<< /Type /Catalog /Pages {_PAGES} 0 R >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        (font % "Helvetica").encode(),
        (font % "Helvetica-Bold").encode(),
    ]
    for i, page in enumerate(pages):
        content = page.content()
        objects.append(
            f"<< /Type /Page /Parent {_PAGES} 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}]"
            f" /Resources << /Font << /R {_REGULAR} 0 R /B {_BOLD} 0 R >> >>"
            f" /Contents {_FIRST_PAGE + 2 * i + 1} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    objects.append(f"<< /Title ({title}) >>".encode("cp1252"))
    return _file(objects, info)


def _file(objects: Sequence[bytes], info: int) -> bytes:
    """Join numbered objects, the table of their offsets and the trailer."""
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\n" % (len(objects) + 1, _CATALOG, info)
    out += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(out)
