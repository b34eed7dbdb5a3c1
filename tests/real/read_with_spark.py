"""Run in an environment of its own: PySpark reads an output folder and prints what it found.

python read_with_spark.py FOLDER; one JSON object on the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def main(folder: str) -> None:
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    rows = spark.read.parquet(folder)
    rows.createOrReplaceTempView("answered")
    nested = rows.orderBy("id").select("answer.caption", "answer.maker.country", f.explode("answer.tags").alias("tag"))
    by_tag = "select tag.name, count(*) from answered lateral view explode(answer.tags) as tag group by 1 order by 1"
    found = {
        "types": dict(rows.dtypes),
        "parts": len(rows.inputFiles()),
        "parts_there": len(list(Path(folder).glob("*.parquet"))),
        "rows": rows.count(),
        "exploded": [[row.caption, row.country, row.tag.name, row.tag.weight] for row in nested.collect()],
        "by_tag": [[row[0], row[1]] for row in spark.sql(by_tag).collect()],
        "cost": str(rows.agg(f.sum("cost_usd")).first()[0]),
        "repaired": rows.filter(f.size("answer_repairs") > 0).count(),
        "finished": [
            row.at.isoformat() for row in rows.orderBy("id").select(f.col("finished_at").alias("at")).collect()
        ],
        "unanswered": rows.filter("answer is null").count(),
    }
    print(json.dumps(found))
    spark.stop()


main(sys.argv[1])
