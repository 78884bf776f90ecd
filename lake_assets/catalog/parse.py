"""Parse a contract's text into an `Asset`, or report all its problems."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from lake_assets.catalog.budget import BUDGET
from lake_assets.catalog.fields import read_field
from lake_assets.catalog.model import Asset, Check, Field, QuarantineBudget, Retention
from lake_assets.catalog.names import ASSET_NAME_LENGTH, name_problem
from lake_assets.catalog.partial_contract import Draft
from lake_assets.catalog.problems import ContractError, Problem, TreePath, did_you_mean
from lake_assets.catalog.protection import with_protection
from lake_assets.catalog.quality import read_check
from lake_assets.catalog.schema import contract_schema
from lake_assets.catalog.source import read_source

TABLE: TreePath = ("schema", 0)
SENT = "sent"
_OWN_TOPICS = ("__", "control-", "metric-", "connect-")
_ROSTERS = ("string", "integer", "boolean")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse_contract(text: str, path: PurePath) -> Asset:
    """Parse a contract. Raises ContractError, which lists all problems with line and path.

    The profile (`catalog.schema`) is a subset of ODCS: a contract that it accepts is a valid ODCS contract. Tests prove
    that against ODCS's own JSON Schema; checking it for every contract at run time costs 85 ms each.
    """
    draft = Draft(read_source(text, path), contract_schema)
    settings = _read_settings(draft)
    fields, checks = _read_table(draft)
    _check_contract(draft)
    _check_event_time(draft, settings)
    _check_promises(draft, settings)
    fields = with_protection(draft, fields, checks, settings)
    owners = _read_owners(draft)
    if draft.problems:
        raise ContractError(draft.problems)
    landing: dict[str, Any] = settings["landing"][1]
    conform: dict[str, Any] = settings["conform"][1] if "conform" in settings else {}
    promises, retention = _read_promises(draft)
    return Asset(
        dataset=draft.value("name"),
        domain=draft.value("domain"),
        version=draft.value("version"),
        description=draft.value("description", "purpose"),
        owners=owners,
        fields=fields,
        key=_read_key(draft),
        event_time=_event_time(landing["eventTime"], fields),
        window=landing.get("window", "day"),
        topic=landing.get("topic", f"{draft.value('domain')}.{draft.value('name')}"),
        encoding=landing.get("encoding"),
        partitions=landing.get("partitions", 4),
        engine=conform.get("engine", "auto"),
        entrypoint=conform.get("entrypoint"),
        unknown_fields=conform.get("unknownFields", "keep"),
        compatibility=settings["compatibility"][1] if "compatibility" in settings else "additive",
        status=draft.value("status"),
        freshness=promises.get("freshness"),
        frequency=promises.get("frequency"),
        roster=settings["roster"][1]["field"] if "roster" in settings else None,
        retention=Retention(retention.get("raw"), retention.get("staging"), retention.get("quarantine")),
        checks=checks,
        quarantine=_read_budget(settings),
        path=path,
    )


def check_together(assets: Iterable[Asset]) -> None:
    """Check assets against each other. Raises ContractError.

    Names must be unique in a catalog, a topic must belong to one dataset, and its versions must share their settings.
    """
    problems: list[Problem] = []
    named: dict[str, Asset] = {}
    sent: dict[str, Asset] = {}
    raw: dict[tuple[str, str], Asset] = {}
    assets = list(assets)
    domains = {asset.domain for asset in assets}
    datasets: dict[str, Asset] = {}
    for asset in assets:
        wrong: dict[str, str] = {}
        if (other := named.setdefault(asset.name, asset)) is not asset:
            wrong["name"] = f"'{asset.name}' is also the name of {other.path}; change one, or its major version."
        elif (other := datasets.setdefault(asset.dataset, asset)) is not asset:
            wrong = {
                what: f"{mine}, but {theirs} in {other.path}: versions of one dataset share topic and raw table."
                for what, mine, theirs in (
                    ("domain", asset.domain, other.domain),
                    ("topic", asset.topic, other.topic),
                    ("partitions", asset.partitions, other.partitions),
                    ("window", asset.window, other.window),
                )
                if mine != theirs
            }
        if (other := sent.setdefault(asset.topic, asset)).dataset != asset.dataset:
            wrong["topic"] = f"'{asset.topic}' is also the topic of {other.path}; change one."
        elif (other := raw.setdefault(asset.raw_name, asset)).dataset != asset.dataset:
            table = ".".join(asset.raw_name)
            wrong["topic"] = f"the raw table {table} is also that of {other.path}: rename one of the assets."
        reader = asset.topic.partition(".")[0]
        if "." in asset.topic and reader != asset.domain and reader in domains:
            wrong["topic"] = f"'{asset.topic}' is read by the connector of the domain {reader} too; change the domain."
        problems.extend(Problem(asset.path, 1, what, sentence) for what, sentence in wrong.items())
    if problems:
        raise ContractError(problems)


def _read_settings(draft: Draft) -> dict[str, tuple[TreePath, Any]]:
    """Read the lake's own settings by name, each with the path of its value."""
    settings: dict[str, tuple[TreePath, Any]] = {}
    named: set[str] = set()
    for place in draft.places("customProperties"):
        name = draft.word(*place, "property")
        if name in named:
            draft.report(place, f"'{name}' is given twice; keep one.")
        if name is not None:
            named.add(name)
        item = draft.value(*place)
        if item is not None:
            settings[item["property"]] = ((*place, "value"), item["value"])
    if isinstance(draft.raw("customProperties"), list) and "landing" not in named:
        draft.report(
            ("customProperties",),
            "'landing' is missing; write {property: landing, value: {eventTime: FIELD}}.",
        )
    _check_landing(draft, settings)
    if "conform" in settings:
        place, conform = settings["conform"]
        if "entrypoint" in conform and conform.get("engine") == "duckdb":
            draft.report((*place, "entrypoint"), "an entrypoint runs on Spark, but the engine is duckdb; change one.")
    return settings


def _read_budget(settings: dict[str, tuple[TreePath, Any]]) -> QuarantineBudget | None:
    if "quarantine" not in settings:
        return None
    budget: dict[str, Any] = settings["quarantine"][1]
    percent = budget.get("maxPercent")
    return QuarantineBudget(budget.get("maxRows"), None if percent is None else Decimal(percent))


def _check_landing(draft: Draft, settings: dict[str, tuple[TreePath, Any]]) -> None:
    if "landing" not in settings:
        return
    place, landing = settings["landing"]
    if "encoding" in landing and not _is_encoding(landing["encoding"]):
        draft.report(
            (*place, "encoding"), f"'{landing['encoding']}' is not an encoding that extends ASCII; use another."
        )
    topic: str = landing.get("topic", "")
    if topic in (".", "..") or topic.startswith(_OWN_TOPICS):
        draft.report((*place, "topic"), f"'{topic}' is a name for internal topics of Kafka or the lake; use another.")


def _is_encoding(name: str) -> bool:
    try:
        return b"\n,;{}".decode(name) == "\n,;{}"
    except (LookupError, ValueError):
        return False


def _check_contract(draft: Draft) -> None:
    """Check the names of asset and domain, and that the table has the asset's name."""
    name = draft.value("name")
    for key in ("name", "domain"):
        word = draft.value(key)
        problem = name_problem(word, ASSET_NAME_LENGTH) if word else None
        if problem:
            draft.report((key,), f"'{word}' {problem}")
    table = draft.value(*TABLE, "name")
    if name and table and name != table:
        draft.report((*TABLE, "name"), f"'{table}' is not the asset's name, '{name}'; they must be the same.")
    if (draft.value("version") or "").partition(".")[0] not in {str(number) for number in range(100)} | {""}:
        draft.report(("version",), "the first number is at most 99.")


def _read_owners(draft: Draft) -> tuple[str, ...]:
    members: list[dict[str, Any]] | None = draft.value("team", "members")
    if members is None:
        return ()
    owners = tuple(member["username"] for member in members if member["role"] == "owner")
    if not owners:
        draft.report(("team", "members"), "no member has role: owner; name the owner of the data.")
    return owners


def _read_table(draft: Draft) -> tuple[tuple[Field, ...], tuple[Check, ...]]:
    fields: list[Field] = []
    checks: list[Check] = []
    names: dict[str, TreePath] = {}
    sources: dict[str, str] = {}
    folded: set[str] = set()
    positions: dict[int, str] = {}
    for place in draft.places(*TABLE, "properties"):
        name = draft.word(*place, "name")
        if name in names:
            draft.report((*place, "name"), f"'{name}' is the name of two fields; rename one.")
        elif name is not None:
            names[name] = place
        read = read_field(draft, place)
        if read is None:
            continue
        field, of_field = read
        if not field.is_derived:
            field = replace(field, has_twin=field.payload_key.lower() in folded)
            folded.add(field.payload_key.lower())
        fields.append(field)
        checks.extend(of_field)
        if field.is_derived:
            continue
        holder = sources.setdefault(field.payload_key, field.name)
        if holder != field.name:
            draft.report(place, f"the payload's '{field.payload_key}' is already read into '{holder}'; remove one.")
        position = draft.value(*place, "primaryKeyPosition")
        if position and positions.setdefault(position, field.name) != field.name:
            draft.report((*place, "primaryKeyPosition"), f"{position} is already the place of '{positions[position]}'.")
    _check_derived(draft, fields, names)
    checks.extend(_table_checks(draft, {name: str(draft.raw(*at, "logicalType")) for name, at in names.items()}))
    _check_check_names(draft, checks)
    return tuple(fields), tuple(checks)


def _check_derived(draft: Draft, fields: Iterable[Field], places: dict[str, TreePath]) -> None:
    """Check that a key of a derived field, if it is declared as well, has a type that both can read."""
    readers = {field.payload_key.lower(): field for field in fields if not field.is_derived}
    roots = {field.path[0].lower(): field for field in fields if field.path}
    spelled: dict[str, str] = {}
    for field in fields:
        for key in field.payload_keys if field.is_derived else ():
            at = (*places[field.name], "customProperties")
            other = readers.get(key.lower())
            nested = bool(field.path)
            if other and (other.payload_key != key or (other.type.name == "json") != nested):
                wanted = "an object" if nested else "a plain value"
                draft.report(at, f"'{key}' is read into '{other.name}' as {other.type}; declare it as {wanted}.")
            elif spelled.setdefault(key.lower(), key) != key:
                draft.report(at, f"'{key}' and '{spelled[key.lower()]}' differ by case only; use one of them.")
            elif not nested and key.lower() in roots:
                draft.report(at, f"'{key}' is an object to '{roots[key.lower()].name}'; use another key.")


def _table_checks(draft: Draft, types: dict[str, str]) -> list[Check]:
    checks: list[Check] = []
    for place in draft.places(*TABLE, "quality"):
        item = draft.value(*place)
        if item is None:
            continue

        def report(below: TreePath, message: str, place: TreePath = place) -> None:
            draft.report((*place, *below), message)

        checks.append(read_check(item, None, types, report))
    return checks


def _check_check_names(draft: Draft, checks: list[Check]) -> None:
    names = [check.name for check in checks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        draft.report(TABLE, f"two checks are named '{name}'; give one of them another name.")
    if BUDGET in names:
        draft.report(TABLE, f"a check is named '{BUDGET}', as the lake's own is; give it another name.")


def _event_time(name: str, fields: Iterable[Field]) -> str | None:
    """Return the name of the event time field, or None for the time of sending."""
    return name if name != SENT or any(field.name == SENT for field in fields) else None


def _check_event_time(draft: Draft, settings: dict[str, tuple[TreePath, Any]]) -> None:
    if "landing" not in settings:
        return
    at, landing = settings["landing"]
    name: str = landing["eventTime"]
    places = {draft.word(*place, "name"): place for place in draft.places(*TABLE, "properties")}
    if name not in places:
        names = [known for known in places if known is not None]
        if name != SENT:
            draft.report(
                (*at, "eventTime"),
                f"'{name}' is not a field.{did_you_mean(name, names) or ' {eventTime: sent} is the time of sending.'}",
            )
        return
    field = draft.value(*places[name])
    if field is None:
        return
    if field["logicalType"] != "timestamp":
        draft.report((*at, "eventTime"), f"'{name}' is {field['logicalType']}; the event time must be a timestamp.")
    elif not field.get("required"):
        draft.report(places[name], f"'{name}' is the event time, so it must be required: true.")


def _check_promises(draft: Draft, settings: dict[str, tuple[TreePath, Any]]) -> None:
    named: set[str | None] = set()
    for place in draft.places("slaProperties"):
        name = draft.word(*place, "property")
        if name == "retention":
            element = draft.word(*place, "element")
            name = f"{name} of {element}" if element else None
        if name in named and name is not None:
            draft.report(place, f"'{name}' is given twice; keep one.")
        named.add(name)
    if "roster" not in settings:
        return
    at, roster = settings["roster"]
    fields = {draft.word(*place, "name"): place for place in draft.places(*TABLE, "properties")}
    name = roster["field"]
    if name not in fields:
        known = [field for field in fields if field is not None]
        draft.report((*at, "field"), f"'{name}' is not a field.{did_you_mean(name, known)}")
    elif draft.raw(*fields[name], "logicalType") not in _ROSTERS:
        draft.report((*at, "field"), f"'{name}' must be a string, an integer or a boolean, to identify a producer.")
    if "frequency" not in named:
        draft.report(at, "a roster needs the promise frequency: {property: frequency, value: 10, unit: m}.")


def _read_promises(draft: Draft) -> tuple[dict[str, timedelta], dict[str, timedelta]]:
    """Read the promises by property, and the retention of each element."""
    promises: dict[str, timedelta] = {}
    retention: dict[str, timedelta] = {}
    for item in draft.value("slaProperties") or ():
        length = item["value"] * _UNITS[item["unit"]]
        if item["property"] == "retention":
            retention[item["element"]] = length
        else:
            promises[item["property"]] = length
    return promises, retention


def _read_key(draft: Draft) -> tuple[str, ...]:
    """Return the names of the key fields by primaryKeyPosition; those without a position follow in their order."""
    parts = [field for field in draft.value(*TABLE, "properties") if field.get("primaryKey")]
    parts.sort(key=lambda field: field.get("primaryKeyPosition", len(parts) + 1000))
    return tuple(field["name"] for field in parts)
