"""Generate `docs/commands.md` from the commands' help: `python -m lake_assets.cli.reference > docs/commands.md`."""

import click

from lake_assets.cli import COMMANDS, lake

HEAD = """\
# Commands

`lake` is `.venv/bin/lake`. Exit codes: 0 success, 1 a finding (audit out of balance, failed check), 2 invalid input,
3 a part is not running. Errors are one sentence on stderr. `lake COMMAND --help` prints the section of that command.
"""


def commands_page() -> str:
    """Return every command's help, in the order of `lake --help`, as Markdown."""
    parts = [HEAD]
    # Make the context as `main` does: a bare Context would leave out the group's own settings, such as `-h`.
    group = lake.make_context("lake", [], resilient_parsing=True, max_content_width=100, terminal_width=100)
    for name in COMMANDS:
        command = lake.get_command(group, name)
        assert command is not None
        with click.Context(command, parent=group, info_name=name) as context:
            parts.append(_section("##", command, context))
            if isinstance(command, click.Group):
                for inner_name, inner in command.commands.items():
                    with click.Context(inner, parent=context, info_name=inner_name) as inner_context:
                        parts.append(_section("###", inner, inner_context))
    return "".join(parts)


def _section(level: str, command: click.Command, context: click.Context) -> str:
    lines = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"\n{level} {context.command_path}\n\n```\n{lines}\n```\n"


if __name__ == "__main__":
    click.echo(commands_page(), nl=False)
