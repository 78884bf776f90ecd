"""A Kafka Connect worker of a test's own beside the session's, with another heap."""

import re
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.stack.connect import connect_program, prepare_connect
from lake_assets.stack.health import check_connect
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from tests.support.buckets import free_port
from tests.support.conditions import wait_until


@contextmanager
def own_worker(stack: Settings, home: Path, heap: str) -> Generator[Settings]:
    """The stack's settings with a worker that has so much heap, in a group of its own. It reads the same secrets."""
    layout, java, jars, port = Home(home), find_java(), jars_folder(), free_port()
    layout.create()
    login = (stack.connect_access.user, stack.connect_access.password_file)
    prepare_connect(layout, jars, stack.kafka, port, security=stack.kafka_for_java, login=login)
    config = layout.run / "worker.properties"
    text = re.sub(r"=(lake-connect|connect-\w+)$", rf"=\1-{port}", config.read_text("utf-8"), flags=re.MULTILINE)
    secrets = Home(stack.home).connect_secrets
    config.write_text(text.replace(str(layout.connect_secrets), str(secrets)), "utf-8")
    program = connect_program(layout, java, jars)
    command = [f"-Xmx{heap}" if part.startswith("-Xmx") else part for part in program.command if "-Xms" not in part]
    with layout.log("connect").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=program.directory)
    settings = replace(stack, connect=f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: check_connect(settings) is None, 120)
        yield settings
    finally:
        process.kill()
        process.wait(10)
