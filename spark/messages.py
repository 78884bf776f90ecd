"""Dagster Pipes over the bucket: the job writes numbered messages into its own folder, so no listing is needed."""

from io import StringIO

from dagster_pipes import PipesBlobStoreMessageWriter, PipesBlobStoreMessageWriterChannel, PipesParams

from lake_assets.bucket import write

_SECONDS = 1.0


class BucketMessageWriter(PipesBlobStoreMessageWriter["BucketChannel"]):
    """Writer to the folder that the reader names in its parameters, a bucket URL."""

    def make_channel(self, params: PipesParams) -> "BucketChannel":
        return BucketChannel(str(params["folder"]))


class BucketChannel(PipesBlobStoreMessageWriterChannel):
    def __init__(self, folder: str) -> None:
        super().__init__(interval=_SECONDS)
        self._folder = folder

    def upload_messages_chunk(self, payload: StringIO, index: int) -> None:
        write(f"{self._folder}/{index}.json", payload.read().encode())
