"""`lake open`."""

from collections.abc import Callable

import click


def _dagster() -> str:
    from lake_assets.errors import Unavailable
    from lake_assets.settings import load_settings
    from lake_assets.stack.health import check_webserver

    settings = load_settings()
    if reason := check_webserver(settings):
        raise Unavailable(f"Dagster's web UI does not answer ({reason}): start it with `lake up`.")
    return f"http://127.0.0.1:{settings.dagster_port}"


def _dashboard() -> str:
    from lake_assets.errors import Unavailable
    from lake_assets.home import Home
    from lake_assets.settings import load_settings
    from lake_assets.stack.addresses import read_addresses
    from lake_assets.stack.dashboard import has_dashboard
    from lake_assets.stack.health import check_dashboard

    settings = load_settings()
    if not has_dashboard(settings, read_addresses(Home(settings.home))):
        raise Unavailable("this lake has no dashboard: start it with `lake up`, on the target local.")
    if reason := check_dashboard(settings):
        raise Unavailable(f"the dashboard does not answer ({reason}): start it with `lake up`.")
    return settings.dashboard_address


def _docs() -> str:
    from lake_assets.errors import LakeError
    from lake_assets.settings import lake_home

    page = lake_home() / "docs" / "index.html"
    if not page.exists():
        raise LakeError("there is no catalog page yet: build it with `lake docs build`.")
    return page.as_uri()


# Each page with the function that returns its address, or raises an error with what to do.
PAGES: dict[str, Callable[[], str]] = {
    "dagster": _dagster,
    "dashboard": _dashboard,
    "docs": _docs,
}


@click.command()
@click.argument("page", type=click.Choice(list(PAGES)))
def command(page: str) -> None:
    """Print the address of a page, and open it in the browser of this machine.

    dagster is Dagster's web UI, dashboard the boards of the marts, docs the catalog page that `lake docs build` has
    built.

    \b
    Example:
      lake open dashboard
    """
    show_page(page)


def show_page(page: str) -> None:
    """Print the address of a page, and open it if there is a browser."""
    import webbrowser

    address = PAGES[page]()
    click.echo(address)
    # Without a display it returns False; click's `launch` prints the error of each program that it tries.
    webbrowser.open(address)
