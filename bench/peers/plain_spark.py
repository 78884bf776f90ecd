"""The conform step as one would write it in Spark alone: `from_json`, `try_cast`, a window for duplicates, Parquet out.

    spark-submit plain_spark.py OUT FILE...

It keeps good rows only: no list of errors, no quarantine, no counts. Prints the seconds of its work.
"""

import sys
import time

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

SHAPE = (
    "order_id string, region string, product string, quantity string, amount string, customer string, ordered_at string"
)
RAW = "payload binary, _key binary, _topic string, _partition int, _offset bigint, _timestamp timestamp"


def main() -> None:
    out, *files = sys.argv[1:]
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.shuffle.partitions", "8")
    started = time.monotonic()
    given = spark.read.schema(RAW).parquet(*files)
    parsed = given.withColumn("j", F.from_json(F.col("payload").cast("string"), SHAPE))
    typed = parsed.select(
        "j.order_id", "j.region", "j.product",
        F.expr("try_cast(j.quantity as bigint)").alias("quantity"),
        F.expr("try_cast(j.amount as decimal(12, 2))").alias("amount"),
        "j.customer",
        F.expr("try_cast(j.ordered_at as timestamp)").alias("ordered_at"),
        "_partition", "_offset",
    )  # fmt: skip
    good = typed.where(
        "length(order_id) between 1 and 40 and region in ('north', 'south', 'east', 'west') "
        "and length(product) between 1 and 80 and quantity between 1 and 1000 and amount >= 0 "
        "and ordered_at is not null"
    )
    latest = Window.partitionBy(F.to_date("ordered_at"), "order_id").orderBy(
        F.desc("ordered_at"), F.desc("_partition"), F.desc("_offset")
    )
    kept = good.withColumn("place", F.row_number().over(latest)).where("place = 1").drop("place")
    kept.write.mode("overwrite").option("compression", "zstd").parquet(out)
    print(f"seconds {time.monotonic() - started:.3f}")


if __name__ == "__main__":
    main()
