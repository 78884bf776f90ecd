"""The conform step in plain Spark: `from_json`, `try_cast`, a window function for duplicates, Parquet as output.

    spark-submit plain_spark.py OUT FILE...

It keeps good rows, and counts the rows that break a rule and the duplicates on the way. There is no list of errors, no
quarantine table and no unknown field. Prints its counts as JSON.

`observe` counts without a second pass. It is a fence as well: Spark would otherwise push the filter below the
projection and parse the payload again for each of its conditions, ten times a row.
"""

import json
import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

SHAPE = (
    "order_id string, region string, product string, quantity string, amount string, customer string, ordered_at string"
)
RAW = "payload binary, _partition int, _offset bigint"
RULES = (
    "length(order_id) between 1 and 40 and region in ('north', 'south', 'east', 'west') "
    "and length(product) between 1 and 80 and quantity between 1 and 1000 and amount >= 0 and ordered_at is not null"
)


def conformed(spark: SparkSession, files: Sequence[str], counts: Observation) -> DataFrame:
    """Return good rows without duplicates. After an action, `counts` has `quarantined` and `good` with duplicates."""
    parsed = spark.read.schema(RAW).parquet(*files).select(
        F.from_json(F.col("payload").cast("string"), SHAPE).alias("j"), "_partition", "_offset"
    )  # fmt: skip
    typed = parsed.select(
        "j.order_id", "j.region", "j.product",
        F.expr("try_cast(j.quantity as bigint)").alias("quantity"),
        F.expr("try_cast(j.amount as decimal(12, 2))").alias("amount"),
        "j.customer",
        F.expr("try_cast(j.ordered_at as timestamp)").alias("ordered_at"),
        "_partition", "_offset",
    )  # fmt: skip
    judged = typed.withColumn("is_good", F.expr(f"coalesce({RULES}, false)")).observe(
        counts, F.count_if("is_good").alias("good"), F.count_if(~F.col("is_good")).alias("quarantined")
    )
    latest = Window.partitionBy(F.to_date("ordered_at"), "order_id").orderBy(
        F.desc("ordered_at"), F.desc("_partition"), F.desc("_offset")
    )
    good = judged.where("is_good").drop("is_good")
    return good.withColumn("place", F.row_number().over(latest)).where("place = 1").drop("place")


def main() -> None:
    out, *files = sys.argv[1:]
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.shuffle.partitions", "8")
    counts = Observation()
    conformed(spark, files, counts).write.mode("overwrite").option("compression", "zstd").parquet(out)
    print(json.dumps(counts.get))
    spark.stop()


if __name__ == "__main__":
    main()
