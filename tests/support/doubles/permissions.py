"""Answers of AWS and Google Cloud about permissions, for a caller who may do all but what is named.

IAM's simulation is in no maintained double (moto leaves it out); the answers of AWS and Google are written here after
their API references. Policies themselves are not evaluated.
"""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"
# The condition on `iam:PassRole` in `deploy/terraform/aws`.
PASSED_TO = "emr-serverless.amazonaws.com"


@dataclass
class Cloud:
    """Missing permissions of the caller, its identity, and the requests that were made."""

    address: str = ""
    caller: str = f"arn:aws:sts::{ACCOUNT}:assumed-role/lake-orchestrator/session"
    lacks: set[str] = field(default_factory=set)
    refuses: bool = False
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def aws(self, form: dict[str, list[str]]) -> tuple[int, str]:
        """The answer to one of AWS's query calls."""
        action = form["Action"][0]
        if self.refuses and action == "SimulatePrincipalPolicy":
            error = "<Code>AccessDenied</Code><Message>not authorized to perform: iam:SimulatePrincipalPolicy</Message>"
            return 403, f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
        if action == "GetCallerIdentity":
            body = f"<Arn>{self.caller}</Arn><UserId>id</UserId><Account>{ACCOUNT}</Account>"
        elif action == "GetRole":
            # A role may have a path, which the session's ARN does not show.
            name = form["RoleName"][0]
            body = (
                f"<Role><Path>/lake/</Path><RoleName>{name}</RoleName><RoleId>id</RoleId>"
                f"<Arn>arn:aws:iam::{ACCOUNT}:role/lake/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>"
            )
        else:
            actions = [form[key][0] for key in form if key.startswith("ActionNames.member.")]
            (resource,) = (form[key][0] for key in form if key.startswith("ResourceArns.member."))
            assert form["PolicySourceArn"][0].startswith(f"arn:aws:iam::{ACCOUNT}:"), form
            self.asked.append((resource, tuple(actions)))
            key, value = (
                form.get(f"ContextEntries.member.1.{part}", [""])[0]
                for part in ("ContextKeyName", "ContextKeyValues.member.1")
            )
            # A condition on a key that the request lacks is not met.
            passed = (key, value) == ("iam:PassedToService", PASSED_TO)
            unmet = set() if passed else {"iam:PassRole"}
            results = "".join(
                f"<member><EvalActionName>{name}</EvalActionName><EvalResourceName>{escape(resource)}</EvalResourceName>"
                f"<EvalDecision>{'implicitDeny' if name in self.lacks | unmet else 'allowed'}</EvalDecision></member>"
                for name in actions
            )
            body = f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
        return 200, f"<{action}Response><{action}Result>{body}</{action}Result></{action}Response>"

    def gcp(self, on: str, permissions: list[str]) -> tuple[int, str]:
        self.asked.append((on, tuple(permissions)))
        if self.refuses:
            return 403, '{"error": {"message": "the API is not enabled"}}'
        return 200, json.dumps({"permissions": [name for name in permissions if name not in self.lacks]})


@contextmanager
def cloud() -> Generator[Cloud]:
    """A running one, at its address."""
    made = Cloud()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._answer(made.gcp(url.path, parse_qs(url.query)["permissions"]))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path.endswith(":testIamPermissions"):
                self._answer(made.gcp(self.path, json.loads(body)["permissions"]))
            else:
                self._answer(made.aws(parse_qs(body)))

        def _answer(self, answer: tuple[int, str]) -> None:
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1].encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
