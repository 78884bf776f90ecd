"""Files of a cloud's bucket whose sizes are known, read by one request for each range and none for their properties.

pyarrow asks for a file's properties each time it opens one; DuckDB opens each Parquet file several times.
"""

import io
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from lake_assets.aws import client
from lake_assets.gcp import connected, retry_policy

if TYPE_CHECKING:
    import requests

# Returns the bytes of `BUCKET/KEY` from a first position to the one before another. Raises OSError.
ReadRange = Callable[[str, int, int], bytes]
# A smaller file is read whole by one request, and kept while there is room.
_WHOLE_BYTES = 1 << 20
_KEPT_BYTES = 64 << 20
_TIMEOUT_SECONDS = 60


def s3_ranges(path: str, start: int, stop: int) -> bytes:
    """Return a range of an object on S3. Raises OSError."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = path.partition("/")
    try:
        answer = client("s3").get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
        return answer["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise OSError(f"s3://{path} cannot be read: {error}") from error


def gs_ranges(path: str, start: int, stop: int) -> bytes:
    """Return a range of an object on Google Cloud Storage. Raises OSError."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError, from_http_response

    bucket, _, key = path.partition("/")
    host = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com")
    url = f"{host}/download/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}?alt=media"

    def read() -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        answer = _gs_session(host, os.getpid()).get(url, headers=headers, timeout=_TIMEOUT_SECONDS)
        if not answer.ok:
            raise from_http_response(answer)
        return answer.content

    try:
        return retry_policy()(read)()
    except (GoogleAPICallError, RetryError, requests.RequestException) as error:
        raise OSError(f"gs://{path} cannot be read: {error}") from error


@lru_cache(maxsize=4)
def _gs_session(host: str, _process: int) -> "requests.Session":
    """Return a session with the credentials; an emulator needs none."""
    import google.auth
    import requests
    from google.auth.transport.requests import AuthorizedSession

    if "STORAGE_EMULATOR_HOST" in os.environ:
        return requests.Session()
    scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
    return connected(lambda: AuthorizedSession(google.auth.default(scopes=scopes)[0]))


class RangedFiles:
    """Files by their paths `BUCKET/KEY`; `sizes` has their bytes, as the listing of the table names them."""

    def __init__(self, sizes: Mapping[str, int], read_range: ReadRange) -> None:
        self.sizes = sizes
        self._read_range = read_range
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0

    def open(self, path: str) -> io.RawIOBase:
        """Return the file, without a request."""
        return _RangedFile(self.sizes[path], lambda start, stop: self._read(path, start, stop))

    def _read(self, path: str, start: int, stop: int) -> bytes:
        size = self.sizes[path]
        if size > _WHOLE_BYTES:
            return self._read_range(path, start, stop)
        content = self._kept.get(path)
        if content is None:
            content = self._read_range(path, 0, size)
            self._kept[path] = content
            self._kept_bytes += size
            while self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])
        return content[start:stop]


class _RangedFile(io.RawIOBase):
    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._read_range = read_range
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        content = self._read_range(self._position, stop)
        self._position += len(content)
        return content
