"""The report: one HTML file on an output, to be read in the morning, sent by mail, kept with the data.

    collect.py     the output read once, in batches -> `Collected`
      figures.py     sums, counts and spreads       (histogram.py, time_buckets.py, fields.py)
      shown_rows.py     the rows that are shown        (row_choice.py)
    runs.py        records of runs: this one, and the one before
    thumbnails.py  pictures of sampled rows, decoded where hostile files are   (full_cells.py)
    headline.py  gallery.py  failures.py  chart_data.py (charts.py)  row_table.py  details.py
                   what the page says in each of its sections, as values
    format.py       one value as the page shows it
    build.py       all of it into the template of `page/`
    write.py      for a job: its output, prompts and pictures; writes the file

Invariants: memory and size do not grow with the output (sampling, classes, at most 5 MB); the page
loads nothing and runs no script but its own; texts of the output are data, never markup. The same
output and records give the same page, byte for byte.

Trade-off: quantiles and charts are right to half a per cent, not to the last row.
"""

from parquill.report.build import MOST_BYTES, Asked, build_report
from parquill.report.runs import read_nights
from parquill.report.thumbnails import thumbnail_settings
from parquill.report.write import write_report

__all__ = ["MOST_BYTES", "Asked", "build_report", "read_nights", "thumbnail_settings", "write_report"]
