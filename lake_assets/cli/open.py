"""`lake open`."""

from collections.abc import Callable
from pathlib import Path

import click

# The address to print, and the one that a browser is started with.
Place = tuple[str, str]

_LEAD = """<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}"><title>lake</title><a href="{address}">Go on</a>
"""


def _dagster() -> Place:
    from lake_assets.errors import Unavailable
    from lake_assets.home import Home
    from lake_assets.settings import load_settings
    from lake_assets.stack.health import check_webserver

    settings = load_settings()
    if reason := check_webserver(settings):
        raise Unavailable(f"Dagster's web UI does not answer ({reason}): start it with `lake up`.")
    return _login("dagster", f"http://127.0.0.1:{settings.dagster_port}", Home(settings.home).dagster_key)


def _dashboard() -> Place:
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
    return _login("dashboard", settings.dashboard_address, Home(settings.home).dashboard_key)


def _docs() -> Place:
    from lake_assets.errors import LakeError
    from lake_assets.settings import lake_home

    page = lake_home() / "docs" / "index.html"
    if not page.exists():
        raise LakeError("there is no catalog page yet: build it with `lake docs build`.")
    return page.as_uri(), page.as_uri()


def _login(page: str, address: str, key_file: Path) -> Place:
    """Return the page with its key; its file leads a browser there, whose command line all users of the machine see."""
    from lake_assets.errors import Unavailable
    from lake_assets.home import Home
    from lake_assets.local_files import write_atomically
    from lake_assets.settings import lake_home
    from lake_assets.web_key import read_key, with_key

    try:
        full = with_key(address, read_key(key_file))
    except (OSError, ValueError) as error:
        raise Unavailable(f"the page has no key in {key_file}: `lake up` makes one.") from error
    file = Home(lake_home()).login_page(page)
    write_atomically(file, _LEAD.format(address=full), private=True)
    return full, file.as_uri()


# Each page with the function that returns where it is, or raises an error with what to do.
PAGES: dict[str, Callable[[], Place]] = {
    "dagster": _dagster,
    "dashboard": _dashboard,
    "docs": _docs,
}


@click.command()
@click.argument("page", type=click.Choice(list(PAGES)))
def command(page: str) -> None:
    """Print the address of a page, and open it in the browser of this machine.

    dagster is Dagster's web UI, dashboard the boards of the marts, docs the catalog page that `lake docs build` has
    built. The first two ask for a key, which is in the printed address; then the browser has a cookie. The
    dashboard's lets its readers look at boards, Dagster's lets them launch runs.

    \b
    Example:
      lake open dashboard
    """
    show_page(page)


def show_page(page: str) -> None:
    """Print the address of a page, and open it if there is a browser."""
    import webbrowser

    address, opened = PAGES[page]()
    click.echo(address)
    # Without a display it returns False; click's `launch` prints the error of each program that it tries.
    webbrowser.open(opened)
