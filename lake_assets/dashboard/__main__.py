"""Program of the part `dashboard`: Streamlit on 127.0.0.1, with all of its settings here."""

import sys
from pathlib import Path

from streamlit.web import bootstrap

# Imported by the first page; a reader would wait for it.
from lake_assets.dashboard import pages
from lake_assets.dashboard.palette import BACKGROUND, DARK, LIGHT, LINK

THIS_MACHINE = "127.0.0.1"
SETTINGS: dict[str, object] = {
    "server.address": THIS_MACHINE,
    "server.headless": True,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    # Rows go through the websocket only, which refuses other origins and, against DNS rebinding, other host names.
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.allowedHosts": [THIS_MACHINE, "localhost"],
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.maxUploadSize": 1,
    "browser.serverAddress": THIS_MACHINE,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "runner.magicEnabled": False,
    "logger.hideWelcomeMessage": True,
    # Without a base, the browser's preference for light or dark decides.
    "theme.light.chartCategoricalColors": list(LIGHT),
    "theme.dark.chartCategoricalColors": list(DARK),
    "theme.light.primaryColor": LINK["light"],
    "theme.dark.primaryColor": LINK["dark"],
    "theme.light.backgroundColor": BACKGROUND["light"],
    "theme.dark.backgroundColor": BACKGROUND["dark"],
}


def main() -> None:
    port = int(sys.argv[1])
    flags = {name.replace(".", "_"): value for name, value in {**SETTINGS, "server.port": port}.items()}
    bootstrap.load_config_options(flags)
    bootstrap.run(str(Path(pages.__file__).with_name("script.py")), False, [], flags)


if __name__ == "__main__":
    main()
