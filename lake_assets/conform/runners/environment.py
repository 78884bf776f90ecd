"""What the cluster runners read from environment variables; the targets' reference lists them."""

import os

from lake_assets.errors import SettingsError


def needed(variable: str, what: str) -> str:
    """Raises SettingsError when it is not set; `what` says what to set it to."""
    text = given(variable)
    if not text:
        raise SettingsError(f"this Spark runner needs {variable}: set it to {what}.")
    return text


def given(variable: str, default: str = "") -> str:
    return os.environ.get(variable, "").strip() or default


def whole(variable: str, default: int) -> int:
    """Raises SettingsError when it is not a whole number above 0."""
    text = given(variable, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{variable} is '{text}': it must be a whole number above 0.")
    return int(text)


def spark_settings() -> dict[str, str]:
    """`LAKE_SPARK_CONF`: Spark's own settings, `key=value` with spaces between. Raises SettingsError."""
    parts = [part.partition("=") for part in given("LAKE_SPARK_CONF").split()]
    for key, equals, value in parts:
        if not key.startswith("spark.") or not equals or not value:
            raise SettingsError(f"LAKE_SPARK_CONF has '{key}{equals}{value}': write spark.some.setting=value.")
    return {key: value for key, _, value in parts}
