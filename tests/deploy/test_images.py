"""Images of others are pinned by digest, or reported."""

import re
import shutil
from pathlib import Path

import pytest

from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from lake_assets.stack import images
from lake_assets.stack.images import foreign_images, without_digest

DIGEST = f"@sha256:{'0f' * 32}"


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    (tmp_path / "containers").mkdir()
    for name in ("compose.yaml", "containers/Containerfile"):
        shutil.copyfile(PROJECT / "deploy" / name, tmp_path / name)
    return tmp_path


def pin(deploy: Path, digest: str) -> None:
    for image in foreign_images(deploy):
        for path in (deploy / "compose.yaml", deploy / "containers" / "Containerfile"):
            path.write_text(path.read_text("utf-8").replace(image, image + digest), "utf-8")


def test_images_of_others_without_a_digest_are_reported(deploy: Path) -> None:
    names = [image.partition(":")[0] for image in foreign_images(deploy)]
    assert names == ["postgres", "metabase/metabase", "python"]
    pin(deploy, DIGEST)
    assert without_digest(foreign_images(deploy)) == []
    assert all(image.endswith(DIGEST) for image in foreign_images(deploy))


def test_malformed_digest_is_refused(deploy: Path) -> None:
    pin(deploy, DIGEST[:-1])
    with pytest.raises(LakeError, match="must be NAME:TAG"):
        foreign_images(deploy)


def test_report_is_red_while_an_image_has_no_digest(
    monkeypatch: pytest.MonkeyPatch, deploy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = deploy.parent / "project"
    project.mkdir()
    deploy = deploy.rename(project / "deploy")
    monkeypatch.setattr(images, "PROJECT", project)
    with pytest.raises(SystemExit, match="3 of 3 images have no digest"):
        images.main()
    pin(deploy, DIGEST)
    images.main()
    assert len(re.findall("is pinned by digest", capsys.readouterr().out)) == 3
