"""Writes the sample documents whose formats are not plain text: ``python docs/make_samples.py``.

The world is Lumen Ridge, a small observatory that does not exist. The FAQ (HTML), the report (Markdown) and the price
list (CSV) are written by hand in docs/samples; this script makes the manual (PDF) and the policy (DOCX) beside them.
docs/samples.md lists questions with their true answers.
"""

from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from docx import Document
from fpdf import FPDF, XPos, YPos

FOLDER = Path(__file__).parent / "samples"
MADE = datetime(2026, 11, 1, tzinfo=UTC)

MANUAL = [
    (
        "1 Safety first",
        [
            "Never point the Meridian 40 at the Sun. Even a glance through the eyepiece blinds, and the heat cracks the "
            "corrector plate within seconds. The dome interlock keeps the telescope parked from sunrise to sunset.",
            "Two people must be in the dome whenever the telescope moves. One of them watches the tube and keeps a hand "
            "near the red stop button, which cuts the power to both motors at once.",
            "The floor is kept dark. Use the red hand lamps from the shelf by the door; white light spoils night vision "
            "for about twenty minutes.",
        ],
    ),
    (
        "2 Starting up",
        [
            "Open the dome slit before you switch on the mount. The slit takes four minutes to open fully, and the mount "
            "refuses to leave its park position while the slit is closed.",
            "Turn the key on the control desk to position II and wait for the green lamp. The mount then searches its "
            "reference marks, which takes about ninety seconds. Do not touch the tube meanwhile.",
            "Let the mirror cool for forty minutes before you observe. A mirror that is warmer than the night air makes "
            "stars swell and shimmer. The fan behind the mirror runs by itself until the difference is below one degree.",
        ],
    ),
    (
        "3 Observing",
        [
            "The Meridian 40 has a primary mirror of 40 centimetres and a focal length of 3,200 millimetres. With the "
            "32 millimetre eyepiece it magnifies 100 times; with the 8 millimetre eyepiece, 400 times.",
            "Choose an object on the desk's list, or type its catalogue number, and press GO. The telescope moves at no "
            "more than three degrees a second. When the amber lamp goes out, it follows the object by itself.",
            "Focus with the black wheel only. The silver wheel shifts the mirror and is locked; a shifted mirror has to "
            "be aligned anew by the workshop.",
        ],
    ),
    (
        "4 When something goes wrong",
        [
            "Error E14 means that the mount has lost its reference marks. Turn the key to position I, wait ten seconds, "
            "and turn it back to position II.",
            "Error E27 means that the wind at the mast is above 55 kilometres an hour. The dome closes by itself and "
            "stays closed until the wind has been below 40 kilometres an hour for fifteen minutes.",
            "If the dome does not close by itself, use the hand crank in the yellow box on the north wall. It takes about "
            "120 turns. Then call the night warden, extension 311.",
        ],
    ),
    (
        "5 Care",
        [
            "Only the workshop cleans the optics. It washes the primary mirror once a year, in October, and renews its "
            "aluminium coating every six years; the last time was in 2023.",
            "Log every night in the blue book: the hours, the objects, and anything unusual. The log for the year goes to "
            "the archive in January.",
        ],
    ),
]


def make_manual() -> None:
    """Write the manual, a chapter a page, with an outline."""
    pdf = FPDF(format=(148, 210))
    pdf.set_creation_date(MADE)
    pdf.set_title("Meridian 40 Telescope Manual")
    pdf.set_author("Lumen Ridge Observatory")
    pdf.set_margins(18, 18)
    for title, paragraphs in MANUAL:
        pdf.add_page()
        pdf.start_section(title)
        pdf.set_font("Helvetica", "B", 15)
        pdf.cell(0, 10, title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_font("Helvetica", size=11)
        for paragraph in paragraphs:
            pdf.ln(2)
            pdf.multi_cell(0, 5.5, paragraph, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.output(str(FOLDER / "telescope-manual.pdf"))


def make_policy() -> None:
    """Write the policy, with headings and a table, and then its archive anew without times of change."""
    document = Document()
    about = document.core_properties
    about.title = "Visitor Policy"
    about.author = "Lumen Ridge Observatory"
    about.created = about.modified = MADE.replace(tzinfo=None)
    document.add_heading("Visitor Policy", 0)
    document.add_paragraph(
        "This policy holds for everyone who visits Lumen Ridge. It was approved by the trustees on 12 March 2026 and is "
        "reviewed every two years."
    )
    document.add_heading("Bookings and cancellations", 1)
    document.add_paragraph(
        "Every evening visit must be booked. A booking is held for fifteen minutes after the start of the tour; after "
        "that the places go to people who wait at the gate."
    )
    document.add_paragraph("What is paid back depends on when a booking is cancelled:")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Cancelled", "Paid back"
    for left, right in (
        ("14 days or more before the visit", "the whole price"),
        ("3 to 13 days before the visit", "half of the price"),
        ("less than 3 days before the visit", "nothing"),
        ("by us, because of clouds or wind", "the whole price, or another date"),
    ):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = left, right
    document.add_heading("Children and animals", 1)
    document.add_paragraph(
        "Children under 6 cannot take part in evening tours. Children from 6 to 13 must be with an adult, who may bring "
        "at most three of them. Guide dogs are welcome everywhere but in the dome; other animals must stay outside the "
        "gate."
    )
    document.add_heading("Photography", 1)
    document.add_paragraph(
        "Photographs without flash are allowed everywhere. Tripods are allowed on the terrace only. Drones may not be "
        "flown within two kilometres of the observatory."
    )
    document.add_heading("Safety", 1)
    document.add_paragraph(
        "The road up to the ridge is closed when there is ice. In a thunderstorm all visitors go to the library, which "
        "has a lightning conductor. The first-aid box hangs beside the ticket desk."
    )
    path = FOLDER / "visitor-policy.docx"
    document.save(str(path))
    with ZipFile(path) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.namelist()]
    with ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(ZipInfo(name, (2026, 11, 1, 0, 0, 0)), data, compress_type=8)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    make_manual()
    make_policy()
