"""`lake completion`."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script with which a shell completes commands, options and their values.

    \b
    Examples:
      lake completion bash >> ~/.bashrc
      lake completion zsh >> ~/.zshrc
      lake completion fish > ~/.config/fish/completions/lake.fish
    """
    from click.shell_completion import get_completion_class

    from lake_assets.cli import lake

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(lake, {}, "lake", "_LAKE_COMPLETE").source())
