"""`lake doctor`."""

import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of the checks.")
def command(*, as_json: bool) -> None:
    """Check this machine and the lake's home, and print what must be done.

    Checks settings, the version of Java, jars and packages against their locks, ports, disk, memory, limits of open
    files and processes, permissions of the home, the resolution of names, and the clocks of Postgres and Kafka Connect.
    Takes ten seconds at most, and changes nothing. Nothing must be up.

    Exit code 1 when something must be done.

    \b
    Examples:
      lake doctor
      lake doctor --json
    """
    import dataclasses

    from lake_assets.cli.tables import show_json
    from lake_assets.printable import printable
    from lake_assets.stack.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            word = "ok" if finding.is_ok else "NOT OK"
            remedy = f"\n{'':18}{finding.remedy}" if finding.remedy else ""
            click.echo(printable(f"{word:8}{finding.check:10}{finding.found}") + printable(remedy))
    if as_json:
        show_json([{**dataclasses.asdict(finding), "ok": finding.is_ok} for finding in findings])
    sys.exit(0 if all(finding.is_ok for finding in findings) else 1)
