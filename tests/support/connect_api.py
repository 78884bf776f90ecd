"""Requests to a lake's Kafka Connect worker, as an operator with curl makes them."""

from collections.abc import Callable

import requests

from lake_assets.landing.connect import rest_access
from lake_assets.settings import Settings
from tests.support.conditions import wait_until

# Of the double of S3. The worker is started with them, because a connector's config must not hold secrets.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "double", "AWS_SECRET_ACCESS_KEY": "double"}

# Set by `make smoke`, whose lake is in the account of the environment's own credentials.
SMOKE = "LAKE_SMOKE"


def ask(
    settings: Settings, method: str, path: str, body: object = None, *, may_lack: bool = False
) -> requests.Response:
    """The worker's answer, once it is done with its rebalance. Fails with its words when it refuses.

    `may_lack`: what the request is about need not be there.
    """
    answers: list[requests.Response] = []

    def accepted() -> bool:
        url, access = settings.connect + path, rest_access(settings)
        answers.append(requests.request(method, url, json=body, timeout=120, **access))
        # Some requests are refused during a rebalance with 409, others with 500 and these words.
        return answers[-1].status_code != requests.codes.conflict and "a rebalance is expected" not in answers[-1].text

    wait_until(accepted)
    is_missing = may_lack and answers[-1].status_code == requests.codes.not_found
    assert answers[-1].ok or is_missing, answers[-1].text
    return answers[-1]


def restart_connectors(settings: Settings) -> None:
    """Restart the connectors of all tests after a server was down. Without Dagster nothing restarts those that failed,
    or that will at their next request."""
    for connector in ask(settings, "GET", "/connectors").json():
        # A worker that has just started lists deleted connectors, too, until it has read all of its own topic.
        ask(settings, "POST", f"/connectors/{connector}/restart?includeTasks=true", may_lack=True)


def remove_connectors(settings: Settings, *beginnings: str) -> None:
    """Delete the connectors with this prefix: an unused one still commits every second.

    A worker that a test has killed is let be.
    """
    _remove(settings, lambda name: name.startswith(beginnings))


def remove_connectors_but(settings: Settings, *beginnings: str) -> None:
    """End all others."""
    _remove(settings, lambda name: not name.startswith(beginnings))


def _remove(settings: Settings, chosen: Callable[[str], bool]) -> None:
    try:
        for name in filter(chosen, ask(settings, "GET", "/connectors").json()):
            requests.delete(f"{settings.connect}/connectors/{name}", timeout=120, **rest_access(settings))
    except requests.RequestException:
        return
