"""A stack whose domain `crm` has its connector."""

import pytest

from lake_assets.settings import Settings
from tests.support.landed_records import apply


@pytest.fixture(scope="session")
def lake(stack: Settings) -> Settings:
    apply(stack, domain="crm")
    return stack
