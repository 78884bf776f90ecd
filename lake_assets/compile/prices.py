"""List prices of the clouds' services, with the date on which they were noted and the page that each is from.

They are without free tiers, discounts for volume or commitment, taxes and traffic between regions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from lake_assets.target_profiles import Target

NOTED = date(2026, 12, 1)

Unit = Literal[
    "write requests",
    "read requests",
    "catalog calls",
    "loads",
    "query bytes",
    "bucket bytes",
    "table bytes",
    "vCPU hours",
    "memory GB hours",
]


@dataclass(frozen=True, slots=True)
class Price:
    """Price of `per` units in USD; bytes are stored for a month.

    `is_verified` is True if a copy of the vendor's own `page` has this price; else only pages of others had it.
    """

    service: str
    unit: Unit
    usd: float
    per: float
    region: str
    page: str
    is_verified: bool

    @property
    def each(self) -> float:
        """Return the price of one unit in USD."""
        return self.usd / self.per


@dataclass(frozen=True, slots=True)
class LeastQuery:
    """Bytes that a query is charged for at least; `of_each_table`, if for each table that it reads."""

    bytes: float
    of_each_table: bool


_MILLION, _GB, _TB, _TIB = 1e6, 1e9, 1e12, float(2**40)
_VIRGINIA, _CAROLINA, _IOWA, _US = "us-east-1", "us-east1", "us-central1", "US"
_S3 = "https://aws.amazon.com/s3/pricing/"
_GLUE = "https://aws.amazon.com/lake-formation/pricing/"
_ATHENA = "https://aws.amazon.com/athena/pricing/"
_EMR = "https://aws.amazon.com/emr/pricing/"
_STORAGE = "https://cloud.google.com/storage/pricing-examples"
_BIGQUERY = "https://cloud.google.com/bigquery/pricing"
_SPARK = "https://cloud.google.com/dataproc-serverless/pricing"

# A target without an entry costs nothing but its disk.
PRICES: Mapping[Target, tuple[Price, ...]] = {
    "local": (),
    "aws": (
        Price("S3", "write requests", 5.0, _MILLION, _VIRGINIA, _S3, False),
        Price("S3", "read requests", 0.40, _MILLION, _VIRGINIA, _S3, False),
        Price("S3", "bucket bytes", 0.023, _GB, _VIRGINIA, _S3, False),
        Price("Glue", "catalog calls", 1.0, _MILLION, _VIRGINIA, _GLUE, True),
        Price("Athena", "query bytes", 5.0, _TB, _VIRGINIA, _ATHENA, False),
        Price("EMR Serverless", "vCPU hours", 0.052624, 1, _VIRGINIA, _EMR, False),
        Price("EMR Serverless", "memory GB hours", 0.0057785, 1, _VIRGINIA, _EMR, False),
    ),
    "gcp": (
        Price("Cloud Storage", "write requests", 5.0, _MILLION, _CAROLINA, _STORAGE, True),
        Price("Cloud Storage", "read requests", 0.40, _MILLION, _CAROLINA, _STORAGE, True),
        Price("Cloud Storage", "bucket bytes", 0.020, _GB, _CAROLINA, _STORAGE, True),
        Price("BigQuery", "loads", 0.0, 1, _US, _BIGQUERY, True),
        Price("BigQuery", "query bytes", 6.25, _TIB, _US, _BIGQUERY, False),
        Price("BigQuery", "table bytes", 0.020, _GB, _US, _BIGQUERY, True),
        # An hour of a compute unit is 0.06 $; a vCPU is 0.6 of one, a GB of memory 0.1.
        Price("Serverless for Apache Spark", "vCPU hours", 0.036, 1, _IOWA, _SPARK, True),
        Price("Serverless for Apache Spark", "memory GB hours", 0.006, 1, _IOWA, _SPARK, True),
    ),
}
LEAST_QUERY: Mapping[Target, LeastQuery] = {
    "local": LeastQuery(0, False),
    "aws": LeastQuery(10e6, False),
    "gcp": LeastQuery(10 * 2**20, True),
}


def price_of(target: Target, unit: Unit) -> Price | None:
    """Return the price of a unit on a target; None where nothing is charged by it."""
    return next((price for price in PRICES[target] if price.unit == unit), None)
