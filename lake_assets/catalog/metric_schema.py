"""The form of a metric's file as a JSON Schema: for completion in editors, and for the first validation of metrics.

`python -m lake_assets.catalog.metric_schema > lake_assets/catalog/metric.schema.json` regenerates the committed file.
"""

import json
import sys

from lake_assets.catalog.names import FIELD_NAME_LENGTH
from lake_assets.catalog.schema_builders import JsonSchema, as_choice, as_list, as_name, as_object, as_pattern, as_text

# The longest name made from it is metric-NAME_v99-undecodable, and NAME_v99_shards as a table.
METRIC_NAME_LENGTH = 48
FUNCTIONS = ("count", "sum", "min", "max")
DURATION = r"^(0|[1-9]\d{0,4})(s|m|h|d)$"


def metric_schema() -> JsonSchema:
    """Return the form, without references, in JSON Schema 2020-12."""
    value: JsonSchema = {"type": ["string", "integer", "boolean"], "description": "A value of the field."}
    condition = as_object(
        needs=("field", "in"), about="Only events whose field has one of the values are counted.",
        field=as_text("A string, integer or boolean field of the source."),
        **{"in": as_list(value, "The values that count.")},
    )  # fmt: skip
    measure = as_object(
        needs=("name", "function", "description"), about="One number of each group and window.",
        name=as_name("Name of the column.", FIELD_NAME_LENGTH),
        function=as_choice(FUNCTIONS, "count counts events; sum, min and max take a field."),
        field=as_text("An integer or decimal field of the source."),
        description=as_text("Meaning of the number, with its unit."),
    )  # fmt: skip
    measure["allOf"] = [
        {
            "if": {"properties": {"function": {"const": "count"}}, "required": ["function"]},
            "then": {"properties": {"field": {"not": {}}}},
            "else": {"required": ["field"]},
        }
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One streaming metric",
        **as_object(
            needs=("name", "version", "description", "owners", "source", "groupBy", "window", "lateness", "measures"),
            name=as_name("Name of the metric, and of its view in the schema `metrics`.", METRIC_NAME_LENGTH),
            version=as_pattern(r"^(0|[1-9]\d*)\.\d+\.\d+$", "a version is three numbers, such as 1.0.0",
                               "Raise the first number for a change of the numbers: a new view beside the old one."),
            description=as_text("Meaning of one row, in one sentence."),
            owners=as_list(as_pattern(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "an owner is an e-mail address", "E-mail."),
                           "The responsible people."),
            source=as_text("Name of the asset whose events are counted."),
            filter=as_list(condition, "Conditions that must all hold."),
            transform=as_pattern(r"^[a-z_][a-z0-9_.]*:[a-z_][a-z0-9_]*$", "a transform is module:function",
                                 "A function transform(event) -> event or None, as module:function."),
            groupBy=as_list(as_text("A required string, integer or boolean field."), "Fields of the group.", 10),
            window=as_pattern(DURATION, "a length is a number and s, m, h or d, such as 1m",
                              "Length of a tumbling window of the event time; it divides a day."),
            lateness=as_pattern(DURATION, "a length is a number and s, m, h or d, such as 2m",
                                "How long a window stays open for events that arrive out of order."),
            retention=as_pattern(DURATION, "a length is a number and s, m, h or d, such as 400d",
                                 "How long a window is kept in the database after its end; without it for ever."),
            measures=as_list(measure, "The numbers of each group and window.", 50),
        ),
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(metric_schema(), indent=2, ensure_ascii=False) + "\n")
