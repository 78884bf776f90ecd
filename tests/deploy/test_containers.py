"""The images: what the container file names is there, and versions are those of the locks."""

import re
import subprocess
import sys
from pathlib import Path

from lake_assets.stack.jar_lock import SPECIAL
from lake_assets.stack.setup import UV
from tests.support.deploy_documents import CONTAINERFILE, PROJECT, compose, helm_values, instructions, pods

STAGES = ("code", "stream", "connect")


def stages() -> dict[str, str]:
    """The lines of each stage, by its name."""
    found = re.split(r"^FROM \S+ AS (\S+)$", CONTAINERFILE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def ignored(path: str) -> bool:
    """Return whether the build does not see the path, by the last rule that fits it, as Docker decides."""
    rules = CONTAINERFILE.with_name("Containerfile.dockerignore").read_text("utf-8").split()
    out = False
    for rule in rules:
        name = rule.removeprefix("!")
        if name == "*" or path == name or path.startswith(f"{name}/"):
            out = not rule.startswith("!")
    return out


def test_hadolint_has_no_complaint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, str(CONTAINERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_base_images_are_pinned_by_a_full_version() -> None:
    names = set(stages())
    bases = [line.split(" AS ")[0] for line in instructions("FROM")]
    outside = [base for base in bases if base not in names]
    assert outside
    for base in outside:
        assert re.search(r":\d+\.\d+\.\d+", base), base


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    copied = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    sources = [source for words in copied for source in words[:-1]]
    assert "connectors" in sources
    for source in sources:
        assert (PROJECT / source).exists(), source
        assert not ignored(source), source
    assert ignored(".lake/secrets/pgpass")
    assert ignored("deploy/secrets/pgpass")


def test_no_image_runs_as_root_and_each_reports_its_health() -> None:
    for stage in STAGES:
        text = stages()[stage]
        assert re.search(r"^USER 10001:10001$", text, re.MULTILINE), stage
        assert re.search(r"^HEALTHCHECK .* CMD \[", text, re.MULTILINE), stage


def test_tools_and_jars_are_those_of_the_project() -> None:
    text = CONTAINERFILE.read_text("utf-8")
    assert f"uv=={UV}" in text
    assert "uv sync --frozen" in text
    asked = re.search(r"lake_assets\.stack\.jars (.+)", text)
    assert asked
    assert set(asked[1].split()) == set(SPECIAL) - {"tests"}


def test_python_is_one_that_the_project_takes() -> None:
    found = re.search(r"python:(3)\.(\d+)", CONTAINERFILE.read_text("utf-8"))
    assert found
    project = (PROJECT / "pyproject.toml").read_text("utf-8")
    bounds = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', project)
    assert bounds
    assert int(bounds[1]) <= int(found[2]) < int(bounds[2])


def test_every_image_in_use_is_pinned_and_ours_have_the_projects_version() -> None:
    version = re.search(r'^version = "(.+)"', (PROJECT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version
    images = [service["image"] for service in compose()["services"].values()]
    images += [container["image"] for pod in pods() for container in pod["containers"]]
    deployment = helm_values()["dagster-user-deployments"]["deployments"][0]["image"]
    images.append(f"{deployment['repository']}:{deployment['tag']}")
    for image in images:
        name, _, tag = image.rpartition(":")
        assert re.match(r"v?\d+\.\d+", tag), image
        if (ours := re.search(r"lake-(\w+)$", name)) is not None:
            assert ours[1] in STAGES, image
            assert tag == version[1], image
