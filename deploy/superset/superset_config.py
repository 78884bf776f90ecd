"""Configuration of Superset for one lake, in its own virtual environment. Its secrets are in files, not in here."""

import os
from pathlib import Path

_HOME = Path(os.environ["SUPERSET_HOME"])
SECRET_KEY = (_HOME / "secrets" / "secret_key").read_text("utf-8")
# The password is in libpq's passfile.
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_METADATA_URI"]
# People log in by name on this machine only; the lake's dashboard is for those without a login.
WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Pages load nothing from other hosts, and report nothing to any.
TALISMAN_ENABLED = True
CONTENT_SECURITY_POLICY_WARNING = False
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
