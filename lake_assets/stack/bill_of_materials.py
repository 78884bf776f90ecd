"""The software bill of materials, and known vulnerabilities of what is in it.

`python -m lake_assets.stack.bill_of_materials` (`make sbom`) writes all locked Python packages and jars as CycloneDX.
With `--audit` (`make audit-packages`) it also looks each of them up in the OSV database.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_assets.errors import LakeError, Unavailable
from lake_assets.local_files import write_atomically
from lake_assets.settings import PROJECT
from lake_assets.stack.jar_lock import read_lock

OUTPUT = PROJECT / "dist" / "sbom.json"
OSV = "https://api.osv.dev/v1/querybatch"
_SECONDS = 30.0
_AT_ONCE = 500


class VulnerablePackages(LakeError):
    """Locked packages have known vulnerabilities."""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A locked package; `url` is its package URL (purl)."""

    name: str
    version: str
    url: str
    sha256: str


def locked_packages() -> list[Package]:
    """Return all packages of uv.lock and jars.lock."""
    return sorted({*_python_packages(PROJECT / "uv.lock"), *_jars()})


def _python_packages(lock: Path) -> Iterator[Package]:
    for package in tomllib.loads(lock.read_text("utf-8"))["package"]:
        if "registry" not in package["source"]:
            continue  # the project itself
        name, version = package["name"], package["version"]
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        sha256 = files[0]["hash"].removeprefix("sha256:") if len(files) == 1 else ""
        yield Package(name, version, f"pkg:pypi/{name}@{version}", sha256)


def _jars() -> Iterator[Package]:
    for jar in read_lock():
        file = jar.coordinates
        url = f"pkg:maven/{file.organisation}/{file.name}@{file.revision}"
        yield Package(f"{file.organisation}:{file.name}", file.revision, url, jar.sha256)


def render(packages: Sequence[Package]) -> str:
    """Render the packages as CycloneDX 1.6."""
    components = [
        {
            "type": "library",
            "bom-ref": f"{package.url}#{package.sha256}",
            "name": package.name,
            "version": package.version,
            "purl": package.url,
            **({"hashes": [{"alg": "SHA-256", "content": package.sha256}]} if package.sha256 else {}),
        }
        for package in packages
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    return json.dumps(document, indent=2) + "\n"


def vulnerabilities(packages: Sequence[Package], address: str = OSV) -> dict[str, list[str]]:
    """Return the ids of known vulnerabilities, by package URL. Raises Unavailable without the database."""
    import requests

    urls = sorted({package.url for package in packages})
    results: list[dict[str, Any]] = []
    try:
        for first in range(0, len(urls), _AT_ONCE):
            queries = [{"package": {"purl": url}} for url in urls[first : first + _AT_ONCE]]
            reply = requests.post(address, json={"queries": queries}, timeout=_SECONDS)
            reply.raise_for_status()
            results += reply.json()["results"]
    except requests.RequestException as error:
        raise Unavailable(
            f"The vulnerability database at {address} cannot be reached ({type(error).__name__}): "
            f"no package was checked, run `make audit-packages` where it can be."
        ) from error
    known = zip(urls, results, strict=True)
    return {url: [entry["id"] for entry in result["vulns"]] for url, result in known if result.get("vulns")}


def main(arguments: Sequence[str]) -> None:
    packages = locked_packages()
    try:
        write_atomically(OUTPUT, render(packages))
        print(f"{OUTPUT.relative_to(PROJECT)} has {len(packages)} packages.")  # noqa: T201
        if "--audit" in arguments:
            by_package = vulnerabilities(packages)
            for url, ids in by_package.items():
                print(f"{url}: {', '.join(ids)}")  # noqa: T201
            if by_package:
                raise VulnerablePackages(
                    f"{len(by_package)} of {len(packages)} packages have known vulnerabilities: upgrade them, "
                    "or note why they do not apply."
                )
            print(f"None of {len(packages)} packages has a known vulnerability.")  # noqa: T201
    except LakeError as error:
        sys.exit(f"lake: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
