"""The sample documents: a letter of one page, an invoice of two, a handbook of twelve.

The firms, people, numbers and machines in them are invented, and the words were written for
this project, so the PDFs are free to use like the rest of it.
"""

from __future__ import annotations

import textwrap
from decimal import Decimal

from tests.samples.pdf import HEIGHT, Page, document

LEFT, RIGHT = 60, 535


def letter() -> bytes:
    """A complaint in German: one page."""
    page = Page()
    page.text(LEFT, 780, "Käthe Brümmer", 11, bold=True)
    page.text(LEFT, 766, "Lindenstraße 14, 24103 Kiel")
    page.text(LEFT, 722, "Nordlicht Kaffeemaschinen GmbH")
    page.text(LEFT, 708, "Kundendienst")
    page.text(LEFT, 694, "Am Hafen 3, 20457 Hamburg")
    page.text(420, 650, "Kiel, 4. März 2026")
    page.text(LEFT, 616, "Beschwerde: Maschine N2, Rechnung NL-2026-0417", 11, bold=True)
    paragraphs = (
        "Sehr geehrte Damen und Herren,",
        "am 12. Februar habe ich bei Ihnen eine Kaffeemaschine N2 gekauft. Seit der zweiten Woche tropft sie "
        "am Dampfhahn, und die Temperatur schwankt so stark, dass der Milchschaum nicht gelingt.",
        "Ich habe die Maschine entkalkt und die Dichtung nach Kapitel 9 Ihres Handbuchs gewechselt. Beides hat "
        "nicht geholfen. Ich bitte Sie deshalb um eine kostenlose Reparatur oder um ein neues Gerät, und zwar "
        "bis zum 25. März. Andernfalls trete ich vom Kauf zurück und erwarte die Erstattung von 689,01 Euro.",
        "Eine Kopie der Rechnung und zwei Fotos der undichten Stelle liegen bei.",
        "Mit freundlichen Grüßen",
    )
    y = _paragraphs(page, paragraphs, 584)
    page.text(LEFT, y - 24, "K. Brümmer", 12)
    page.text(LEFT, y - 60, "Anlagen: Rechnungskopie, zwei Fotos", 9)
    return document([page], "Beschwerde")


ITEMS = (
    ("N2-100", "Coffee machine N2, steel", 1, "579.00"),
    ("N2-210", "Group head gasket, 58 mm", 4, "6.50"),
    ("N2-211", "Shower screen, 58 mm", 2, "9.20"),
    ("N2-230", "Steam wand, four holes", 1, "38.00"),
    ("N2-231", "Steam wand seal", 6, "1.85"),
    ("N2-240", "Portafilter, two spouts", 1, "46.00"),
    ("N2-241", "Portafilter, bottomless", 1, "52.00"),
    ("N2-250", "Basket, 14 g", 2, "11.40"),
    ("N2-251", "Basket, 18 g", 2, "11.90"),
    ("N2-260", "Water tank, 2.1 l", 1, "29.00"),
    ("N2-261", "Tank filter cartridge", 6, "7.75"),
    ("N2-270", "Drip tray with grid", 1, "24.50"),
    ("AC-010", "Tamper, 58.3 mm, beech", 1, "32.00"),
    ("AC-020", "Milk jug, 350 ml", 2, "17.00"),
    ("AC-021", "Milk jug, 600 ml", 1, "21.00"),
    ("AC-030", "Descaling powder, 10 bags", 3, "12.60"),
    ("AC-031", "Cleaning tablets, 60", 2, "14.90"),
    ("AC-040", "Barista cloths, set of 4", 2, "9.80"),
    ("AC-050", "Espresso cups, set of 6", 2, "27.50"),
    ("AC-060", "Knock box", 1, "22.00"),
    ("SV-001", "Delivery and set-up", 1, "45.00"),
    ("SV-002", "Training, half a day", 1, "160.00"),
)
"""Rows without a document: a kind, and the text itself."""


def invoice() -> bytes:
    """An invoice whose items run over to a second page, where the totals are."""
    pages = [_invoice_page(1, ITEMS[:14]), _invoice_page(2, ITEMS[14:])]
    net = sum((count * Decimal(price) for _, _, count, price in ITEMS), Decimal(0))
    tax = (net * Decimal("0.19")).quantize(Decimal("0.01"))
    y = 640 - 24 * len(ITEMS[14:])
    for label, amount, bold in (("Net", net, False), ("VAT 19 %", tax, False), ("Total EUR", net + tax, True)):
        pages[1].text(380, y, label, bold=bold)
        pages[1].text(480, y, f"{amount:,.2f}", bold=bold)
        y -= 18
    pages[1].text(LEFT, y - 30, "Payable within 14 days. Please give the invoice number with your payment.")
    return document(pages, "Invoice NL-2026-0417")


def _invoice_page(number: int, items: tuple[tuple[str, str, int, str], ...]) -> Page:
    page = Page()
    page.text(LEFT, 780, "Nordlicht Kaffeemaschinen GmbH", 14, bold=True)
    page.text(LEFT, 764, "Am Hafen 3, 20457 Hamburg", 9)
    page.text(LEFT, 722, "INVOICE NL-2026-0417", 12, bold=True)
    page.text(LEFT, 704, "Date: 12 February 2026      Customer: 20931, Cafe Fjord, Kiel")
    page.text(480, 780, f"Page {number} of 2", 9)
    page.box(LEFT, 660, RIGHT - LEFT, 18, 0.85)
    for x, name in ((LEFT + 4, "Article"), (130, "Description"), (340, "Qty"), (400, "Price"), (480, "Amount")):
        page.text(x, 665, name, 9, bold=True)
    y = 640
    for article, name, count, price in items:
        page.text(LEFT + 4, y, article)
        page.text(130, y, name)
        page.text(345, y, str(count))
        page.text(400, y, price)
        page.text(480, y, f"{count * Decimal(price):.2f}")
        page.line(LEFT, y - 8, RIGHT, y - 8)
        y -= 24
    return page


CHAPTERS = (
    (
        "What is in the box",
        "The N2 comes with a portafilter, two baskets, a tamper, a water tank and this handbook. Keep the carton: "
        "it is made to carry the machine safely if it has to go back to the workshop.",
        "Check that no part is missing before you throw anything away. The serial number is on a plate under the drip "
        "tray; you need it for the warranty.",
    ),
    (
        "Where to put it",
        "Choose a level, dry surface that carries 25 kg. Leave ten centimetres behind the machine so that heat can "
        "escape, and forty above it so that the tank can be lifted out.",
        "Do not place it beside a hob or in a room where it may freeze. Frozen water breaks the boiler.",
    ),
    (
        "Filling the tank",
        "Use fresh drinking water of medium hardness. Very soft water tastes flat and confuses the level sensor; very "
        "hard water scales the boiler within weeks.",
        "Lift the lid, pull the tank upwards, fill it to the line and push it down until it clicks.",
    ),
    (
        "Switching on",
        "Press the main switch. The lamp blinks while the boiler heats, about eleven minutes, and then stays lit. Run "
        "an empty shot through the group so that the portafilter is warm too.",
        "It switches itself off after ninety minutes without use. Hold the switch for five seconds to alter it.",
    ),
    (
        "Grinding and dosing",
        "Grind just before brewing. For the 18 g basket start with 18 g and a shot of 36 g in 28 seconds. Faster means "
        "the grind is too coarse; slower means it is too fine.",
        "Change one thing at a time and write it down. A scale is worth more than a better grinder.",
    ),
    (
        "Brewing",
        "Wipe the basket, tamp level, lock the portafilter and start at once: coffee that waits in a hot group burns. "
        "The pressure should rise to nine bar within six seconds.",
        "Stop the shot by weight, not by colour. Remove the portafilter only when the gauge has fallen to zero.",
    ),
    (
        "Steaming milk",
        "Open the steam tap for a second to blow out water. Hold the tip just under the surface until the milk is hand "
        "warm, then sink it and let the milk turn until the jug is too hot to touch.",
        "Wipe the wand and open the tap again at once. Dried milk is the usual cause of a blocked wand.",
    ),
    (
        "Cleaning every day",
        "Rinse the group with the blind basket and water, empty the drip tray, and wash the baskets, without soap. "
        "It takes two minutes and saves a repair.",
        "Never put the portafilter in a dishwasher: its handle cracks and its chrome goes dull.",
    ),
    (
        "Changing the gasket",
        "A gasket lasts about a year. Let the machine cool, unscrew the shower screen, lift the old gasket out with a "
        "wooden stick and press the new one in with its bevel facing up.",
        "If the machine still drips at the group, the group may be worn. If it drips at the wand, change that seal.",
    ),
    (
        "Removing scale",
        "Descale every three months, or every month with hard water. Dissolve one bag in a full tank, draw half of it "
        "through group and wand, wait twenty minutes and draw the rest.",
        "Rinse with two full tanks. Do not use vinegar: it attacks the seals and the taste stays for weeks.",
    ),
    (
        "When something is wrong",
        "No heat: the safety switch may have opened; let the machine cool for an hour. No water: the tank does not sit "
        "right or the filter is blocked. Too little pressure: the grind is too coarse.",
        "Water under the machine: pull the plug and call the workshop. Do not open the housing yourself.",
    ),
    (
        "Technical data and warranty",
        "Boiler 1.4 l, steel. Power 1,450 W at 230 V, 50 Hz. Weight 21.5 kg. Width 28 cm, depth 41 cm, height 39 cm. "
        "Noise 58 dB at one metre.",
        "The warranty is two years from the date on the invoice. It does not cover scale, frost or wear of seals.",
    ),
)


def handbook() -> bytes:
    """An operating handbook, one chapter a page: twelve pages."""
    pages = []
    for number, (title, *paragraphs) in enumerate(CHAPTERS, start=1):
        page = Page()
        page.text(LEFT, 790, "Coffee machine N2: operating handbook", 9)
        page.line(LEFT, 782, RIGHT, 782)
        page.text(LEFT, 730, f"{number}  {title}", 18, bold=True)
        _paragraphs(page, paragraphs, 690, size=12)
        page.text(280, HEIGHT - 800, f"Page {number} of {len(CHAPTERS)}", 9)
        pages.append(page)
    return document(pages, "Operating handbook N2")


def _paragraphs(page: Page, paragraphs: tuple[str, ...] | list[str], y: float, size: float = 10) -> float:
    """Print paragraphs from `y` downwards; returns where the next line would stand."""
    columns = int((RIGHT - LEFT) / (size * 0.5))
    for paragraph in paragraphs:
        for line in textwrap.wrap(paragraph, columns):
            page.text(LEFT, y, line, size)
            y -= size * 1.4
        y -= size
    return y


TEXTS = (
    ("email", "Hi, my order 20931-7 arrived with a cracked water tank. Can you send a new one before Friday?"),
    ("email", "Bonjour, je souhaite annuler ma commande de ce matin. Merci de confirmer par retour de courriel."),
    ("review", "Great machine, awful handbook. Took me a week to find out how to turn off the auto-off timer."),
    ("review", "La espuma sale perfecta y el servicio fue rápido. Volvería a comprar sin dudarlo."),
    ("ticket", "N2 does not heat after descaling. Lamp blinks for more than an hour. Serial NL2-004417."),
    ("ticket", "スチームノズルから水が漏れます。パッキンを交換しても直りません。"),
)
"""Rows without a document: a kind, and the text itself."""
