"""The function on Google Cloud that a notification of the bucket calls: it loads publications, as Dagster does.

It is an ASGI application for Cloud Run behind Eventarc (`google.cloud.storage.object.v1.finalized`): `uvicorn --factory
lake_assets.warehouse.gcp.load_function:application`. It and Dagster start load jobs of the same names, so the later one
finds the other's job: files are loaded once. When Dagster's process dies after it has announced a publication, the
function still loads it.
"""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from lake_assets.warehouse.gcp.bigquery import BigQuery
from lake_assets.warehouse.publication import Publication, announced, is_publication

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_log = logging.getLogger("lake_assets.load_function")


def load_published(settings: Settings, assets: Mapping[str, Asset], bucket: str, name: str) -> str:
    """Load the newest publication of the window whose object has that name; return the result in a sentence.

    Other objects are ignored. Partitions without new rows are left to Dagster. Raises LakeError when the catalog here
    is not the lake's, or BigQuery refuses; Unavailable when a retry may help.
    """
    root = urlsplit(settings.bucket)
    path = name.removeprefix(root.path.lstrip("/") + "/") if root.path.strip("/") else name
    if bucket != root.netloc or not is_publication(path):
        return f"{name} is not a publication of this lake."
    loaded: Publication | None = None
    # A newer publication may have been loaded before these files: then it is loaded over them again.
    while (newest := announced(settings, path)) != loaded:
        if newest is None:
            break
        asset = assets.get(newest.asset)
        if asset is None:
            raise LakeError(f"this function's catalog has no {newest.asset}: deploy it again.")
        over = loaded is not None
        BigQuery(settings).load_files(asset, newest.window, newest.good_files, newest.quarantine_files, over=over)
        loaded = newest
    return f"{name} no longer exists." if loaded is None else f"{loaded.asset} {loaded.window} is loaded."


def application() -> "Starlette":
    """Return the application. It responds with 200 when there is nothing left to do, 503 when a retry is needed."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    settings = load_settings()
    assets = read_files(settings).assets

    async def loads(request: "Request") -> "Response":
        try:
            event = json.loads(await request.body())
            bucket, name = str(event["bucket"]), str(event["name"])
        except (ValueError, KeyError, TypeError):
            return PlainTextResponse("This is not a notification of a bucket.", 400)
        try:
            result = await run_in_threadpool(load_published, settings, assets, bucket, name)
        except (LakeError, OSError) as error:
            _log.error("%s: %s", name, error)
            return PlainTextResponse(str(error), 503)
        _log.info("%s", result)
        return PlainTextResponse(result)

    return Starlette(routes=[Route("/", loads, methods=["POST"])])
