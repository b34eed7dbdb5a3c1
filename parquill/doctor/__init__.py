"""`parquill doctor JOB`: tries the endpoint and says what will work, before a run finds out.

    diagnosis.py         `Finding` and `Diagnosis`, what was found
    listing.py           what an endpoint's own list of models says, in every server's words
    trial.py             the three requests: sent once each, priced, never more
    refused_pictures.py  the manifest's pictures that a rule would refuse, counted without network
    examine.py           `examine`: from a job to a diagnosis
    show.py              the table for people

At most three small chat requests are sent, besides look-ups that cost nothing; what they cost
is said. Nothing is written: no output, no ledger, no emulator's bill. A job that could not run
(its file, its manifest, a budget without a price) is refused as `run` refuses it.

Accepted: what it costs is in no run's books; a gateway with several providers may answer
the run from another one than answered here.
"""

from parquill.doctor.diagnosis import Diagnosis, Finding, Health
from parquill.doctor.examine import examine, examine_each
from parquill.doctor.show import render_diagnoses, render_diagnosis

__all__ = [
    "Diagnosis",
    "Finding",
    "Health",
    "examine",
    "examine_each",
    "render_diagnoses",
    "render_diagnosis",
]
