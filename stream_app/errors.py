"""Errors that stop the application, each with one sentence that has the remedy."""

from lake_assets.errors import LakeError


class Refusal(LakeError):
    """Continuing could count wrongly, so the application does not start, or stops."""
