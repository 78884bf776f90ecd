"""Publication of the catalog page in a folder or a bucket."""

from lake_assets import bucket
from lake_assets.catalog.json_codec import to_json
from lake_assets.operations.catalog_page.document import Document
from lake_assets.operations.catalog_page.render import as_utf8, render

PAGE, DATA = "index.html", "catalog.json"


def publish(document: Document, place: str) -> dict[str, int]:
    """Write page and data below a folder or a bucket's URL; return the bytes of each by its path.

    Readers see each file complete, or its earlier version. Raises Unavailable if the place cannot be written.
    """
    files = {DATA: as_utf8(to_json(document)), PAGE: as_utf8(render(document))}
    written: dict[str, int] = {}
    for name, content in files.items():
        url = f"{place.rstrip('/')}/{name}"
        try:
            bucket.write(url, content)
        except (OSError, RuntimeError) as error:
            raise bucket.unusable(place, error) from error
        written[url] = len(content)
    return written
