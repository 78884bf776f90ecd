"""What makes the application stop, with one sentence that says what to do."""

from lake_assets.errors import LakeError


class Refusal(LakeError):
    """Going on could count wrongly, so the application does not start, or stops."""
