"""Environment variables of the cluster runners; the targets' reference lists them."""

from lake_assets.errors import SettingsError
from lake_assets.variables import VariableName, read_variable


def needed(variable: VariableName, meaning: str) -> str:
    """Return the variable; `meaning` is what to set it to. Raises SettingsError when it is not set."""
    text = given(variable)
    if not text:
        raise SettingsError(f"this Spark runner needs {variable}: set it to {meaning}.")
    return text


def given(variable: VariableName, default: str = "") -> str:
    """Return the variable, or the default when it is empty."""
    return read_variable(variable, "").strip() or default


def whole(variable: VariableName, default: int) -> int:
    """Return the variable as a number. Raises SettingsError when it is not a whole number above 0."""
    text = given(variable, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{variable} is '{text}': it must be a whole number above 0.")
    return int(text)


def spark_settings() -> dict[str, str]:
    """Return `LAKE_SPARK_CONF`: Spark's own settings, `key=value` with spaces between. Raises SettingsError."""
    parts = [part.partition("=") for part in given("LAKE_SPARK_CONF").split()]
    for key, equals, value in parts:
        if not key.startswith("spark.") or not equals or not value:
            raise SettingsError(f"LAKE_SPARK_CONF has '{key}{equals}{value}': write spark.some.setting=value.")
    return {key: value for key, _, value in parts}
