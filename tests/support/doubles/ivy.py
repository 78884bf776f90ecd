"""Stand-in for `java -jar ivy.jar`: takes the files of an ivy.xml from a folder, laid out as Ivy's cache."""

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPOSITORY = Path(os.environ["FAKE_REPOSITORY"])


def main(arguments: list[str]) -> int:
    if "-version" in arguments:
        print('openjdk version "17.0.1"', file=sys.stderr)
        return 0
    module = Path(arguments[arguments.index("-ivy") + 1])
    cache = Path(arguments[arguments.index("-cache") + 1])
    for dependency in ElementTree.parse(module).iter("dependency"):
        organisation, revision = dependency.attrib["org"], dependency.attrib["rev"]
        artifact = next(dependency.iter("artifact"))
        classifier = artifact.attrib.get("{http://ant.apache.org/ivy/maven}classifier", "")
        suffix = f"-{classifier}" if classifier else ""
        name = f"{artifact.attrib['name']}-{revision}{suffix}.{artifact.attrib['ext']}"
        with (REPOSITORY / "requests").open("a") as requests:
            requests.write(name + "\n")
        if not (REPOSITORY / name).exists():
            print(f"java.net.UnknownHostException: no route to {name}")
            continue
        folder = cache / organisation
        folder.mkdir(exist_ok=True)
        part = folder / f"{name}.part"
        part.write_bytes((REPOSITORY / name).read_bytes())
        part.rename(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
