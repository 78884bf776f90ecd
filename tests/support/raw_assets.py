"""Assets made by hand, so that landing is tested without contracts."""

from lake_assets.catalog.model import Asset, Field, FieldType, WindowSize


def example_asset(
    name: str,
    domain: str = "crm",
    *,
    key: tuple[str, ...] = ("id",),
    window: WindowSize = "day",
    time_format: str | None = None,
    time_source: str = "",
    partitions: int = 4,
    topic: str = "",
) -> Asset:
    """An asset with the fields `id`, `part` and `at`, the event time."""
    text = FieldType("string")
    fields = (
        Field("id", text),
        Field("part", text),
        Field("at", FieldType("timestamp"), format=time_format, source=time_source),
    )
    return Asset(
        name, domain, "1.0.0", "An example.", ("owner@example.com",), fields, key, "at",
        window=window, partitions=partitions, topic=topic,
    )  # fmt: skip
