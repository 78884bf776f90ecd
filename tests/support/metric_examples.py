"""A contract with every type, and a metric over it."""

from pathlib import PurePath

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import parse_metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: test.orders
name: orders
version: 1.0.0
status: active
domain: test
description: {purpose: "One row per order."}
team: {name: test, members: [{username: test@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: ordered_at, window: day, partitions: 2}}
schema:
  - name: orders
    properties:
      - {name: order_id, logicalType: string, required: true, primaryKey: true, logicalTypeOptions: {minLength: 1, maxLength: 12}}
      - {name: region, logicalType: string, required: true, quality: [{metric: invalidValues, arguments: {validValues: [north, south]}, mustBe: 0}]}
      - {name: shop, logicalType: integer, required: true, physicalName: "Shop No"}
      - {name: paid, logicalType: boolean, required: true}
      - {name: quantity, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 1000}}
      - {name: amount, logicalType: number, physicalType: "decimal(12,2)", required: true, logicalTypeOptions: {minimum: 0}}
      - {name: discount, logicalType: number, physicalType: "decimal(5,3)"}
      - {name: weight, logicalType: number, physicalType: double, logicalTypeOptions: {maximum: 1000}}
      - {name: due, logicalType: date}
      - {name: note, logicalType: string}
      - {name: customer, logicalType: object}
      - {name: ordered_at, logicalType: timestamp, required: true}
"""  # noqa: E501
METRIC = """\
name: orders_by_region
version: 1.0.0
description: Orders of each region and minute.
owners: [test@example.com]
source: orders
groupBy: [region, shop, paid]
window: 1m
lateness: 2m
measures:
  - {name: orders, function: count, description: "Orders."}
  - {name: quantity, function: sum, field: quantity, description: "Pieces."}
  - {name: amount, function: sum, field: amount, description: "Euros."}
  - {name: smallest, function: min, field: amount, description: "Euros."}
  - {name: largest, function: max, field: amount, description: "Euros."}
"""


def orders(text: str = CONTRACT) -> Asset:
    return parse_contract(text, PurePath("orders.yaml"))


def metric(asset: Asset, text: str = METRIC) -> Metric:
    return parse_metric(text, PurePath("orders_by_region.yaml"), {asset.name: asset})
