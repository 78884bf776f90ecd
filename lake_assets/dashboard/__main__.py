"""Program of the part `dashboard`: Streamlit on 127.0.0.1, with all of its settings here.

`python -m lake_assets.dashboard PORT KEY_FILE` asks for the key in the file.
"""

import sys
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

# Imported by the first page; a reader would wait for it.
from lake_assets.dashboard import pages
from lake_assets.dashboard.palette import BACKGROUND, DARK, LIGHT, LINK
from lake_assets.web_key import read_key
from lake_assets.web_login import KeyRequired

THIS_MACHINE = "127.0.0.1"
HEALTH = "/_stcore/health"
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
    port, key = int(sys.argv[1]), read_key(Path(sys.argv[2]))
    login = Middleware(KeyRequired, key=key, page="dashboard", is_open=HEALTH)
    script = Path(pages.__file__).with_name("script.py")
    App(script, middleware=[login]).run(config={**SETTINGS, "server.port": port})


if __name__ == "__main__":
    main()
