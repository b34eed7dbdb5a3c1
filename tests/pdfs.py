"""PDFs written by hand, so that a test says what is in them."""

from __future__ import annotations

from collections.abc import Sequence


def pdf(pages: Sequence[str], *, box: str = "0 0 595 842", trailer: str = "", extra: Sequence[str] = ()) -> bytes:
    """A PDF with one line of text on each page; an empty one has no text at all."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for text in pages:
        drawing = f"BT /F1 24 Tf 72 500 Td ({text}) Tj ET" if text else "0 0 1 rg 100 100 200 200 re f"
        page = f"/Type /Page /Parent 2 0 R /MediaBox [{box}] /Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< {page} /Contents {len(objects) + 2} 0 R >>")
        objects.append(f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream")
    objects += extra
    body, places = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    tail = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(body)}\n%%EOF\n"
    return bytes(body) + head.encode() + tail.encode()


def encrypted() -> bytes:
    """One that asks for a password (standard security handler, revision 2)."""
    lock = "<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <" + "61" * 32 + "> /U <" + "62" * 32 + "> >>"
    identity = "/ID [<" + "00" * 16 + "> <" + "00" * 16 + ">]"
    return pdf(["Secret"], extra=[lock], trailer=f"/Encrypt 6 0 R {identity}")
