"""Images that are not the lake's own: `python -m lake_assets.stack.images` reports which have no digest.

A tag can be given to another image; a digest is the image. The two places are `x-images` of compose.yaml and the first
`FROM` of the Containerfile. Write `NAME:TAG@sha256:DIGEST` there, with the digest that your registry or mirror has, for
example by `docker buildx imagetools inspect NAME:TAG`. Nothing is fetched here.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT

_IMAGE = re.compile(r"[a-z0-9./-]+:[\w.-]+(@sha256:[0-9a-f]{64})?")


def foreign_images(deploy: Path) -> list[str]:
    """Return the references as they are written. Raises LakeError for one that has no tag or a malformed digest."""
    compose = yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))
    containerfile = (deploy / "containers" / "Containerfile").read_text("utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", containerfile, re.MULTILINE))
    bases = [image for image in re.findall(r"^FROM (\S+)", containerfile, re.MULTILINE) if image not in stages]
    images = [*compose["x-images"].values(), *dict.fromkeys(bases)]
    for image in images:
        if not _IMAGE.fullmatch(image):
            raise LakeError(f"the image '{image}' must be NAME:TAG or NAME:TAG@sha256: and 64 hexadecimal digits.")
    return images


def without_digest(images: Sequence[str]) -> list[str]:
    return [image for image in images if "@" not in image]


def main() -> None:
    try:
        images = foreign_images(PROJECT / "deploy")
    except LakeError as error:
        sys.exit(f"lake: {error}")
    missing = without_digest(images)
    for image in images:
        state = "by its tag only" if image in missing else "by digest"
        print(f"{image} is pinned {state}")  # noqa: T201
    if missing:
        sys.exit(f"lake: {len(missing)} of {len(images)} images have no digest: add those of your registry.")


if __name__ == "__main__":
    main()
