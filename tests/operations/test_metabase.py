"""`lake bi apply` against a double of Metabase, which refuses what its OpenAPI file does not allow."""

from collections.abc import Generator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import lake_assets.operations.boards as boards_module
from lake_assets.catalog.board import Board
from lake_assets.catalog.texts import Catalog
from lake_assets.cli.bi import command
from lake_assets.compile.metabase import MADE_BY, Marker, read_marker
from lake_assets.dbt.boards import read_boards
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.operations.metabase.apply import Applied, apply_boards
from lake_assets.operations.metabase.client import Metabase, read_address
from lake_assets.settings import Settings, load_settings
from tests.support.board_manifests import ASSETS, chart, manifest
from tests.support.doubles.metabase import ALL_USERS, DATABASE, KEY, MetabaseDouble, database, metabase_double

SCHEMAS = ("shop_data_mart", "metrics")


@pytest.fixture
def server() -> Generator[MetabaseDouble]:
    with metabase_double() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    secrets = tmp_path / "home" / "secrets"
    secrets.mkdir(parents=True)
    write_key(secrets / "metabase_key", KEY)
    return load_settings()


def write_key(file: Path, key: str) -> None:
    file.write_text(f"{key}\n", "utf-8")
    file.chmod(0o600)


def boards(*charts: Mapping[str, object], **options: Any) -> list[Board]:
    return list(read_boards(manifest(list(charts), **options), {}, ASSETS).boards)


def run(server: MetabaseDouble, settings: Settings, wanted: list[Board], schemas: tuple[str, ...] = SCHEMAS) -> Applied:
    """Apply these boards, and keep only the requests of this run."""
    server.requests.clear()
    server.bodies.clear()
    with Metabase(read_address(server.url, settings.home / "secrets")) as metabase:
        return apply_boards(metabase, wanted, settings.postgres, schemas)


def actions(applied: Applied) -> list[tuple[str, str, str]]:
    return [(step.kind, step.name, step.action) for step in applied.steps]


def state(server: MetabaseDouble) -> object:
    return deepcopy([server.cards, server.collections, server.dashboards, server.collection_rights, server.data_rights])


def only(rows: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    [row] = [row for row in rows.values() if not row["archived"]]
    return row


TWO = (chart(), chart(title="Amount", kind="line", x="day", y="amount", unit="EUR"))


def test_board_becomes_collection_questions_and_dashboard(server: MetabaseDouble, settings: Settings) -> None:
    applied = run(server, settings, boards(*TWO))
    assert actions(applied) == [
        ("collection", "Shop board", "create"),
        ("question", "Orders", "create"),
        ("question", "Amount", "create"),
        ("dashboard", "Shop board", "create"),
        ("group", "Lake readers", "create"),
        ("permissions", "Lake readers", "change"),
        ("permissions", "Lake readers", "change"),
    ]
    collection, dashboard = only(server.collections), only(server.dashboards)
    assert read_marker(collection["description"]) == Marker(DATABASE, "shop_board")
    assert read_marker(dashboard["description"]) == Marker(DATABASE, "shop_board", dashboard["id"])
    assert (
        {card["collection_id"] for card in server.cards.values()} == {collection["id"]} == {dashboard["collection_id"]}
    )
    first, second = server.cards.values()
    assert (first["display"], second["display"]) == ("row", "line")
    assert first["dataset_query"]["database"] == DATABASE
    assert 'from "shop_data_mart"."orders"' in first["dataset_query"]["stages"][0]["native"]
    assert [(card["card_id"], card["col"], card["size_x"]) for card in dashboard["dashcards"]] == [
        (first["id"], 0, 12),
        (second["id"], 12, 12),
    ]


def test_second_apply_changes_nothing(server: MetabaseDouble, settings: Settings) -> None:
    wanted = boards(*[chart(board=name, title=f"{name} {n}") for name in "ab" for n in range(3)], boards=("a", "b"))
    run(server, settings, wanted)
    before = state(server)
    assert run(server, settings, wanted) == Applied((), notes(server))
    assert server.writes == []
    assert state(server) == before


def notes(server: MetabaseDouble) -> tuple[str, ...]:
    """Return the note about all people, who may query each new database of a Metabase at first."""
    assert server.data_rights[str(ALL_USERS)] == "query-builder-and-native"
    return (
        "All people of this Metabase may ask questions about the lake's marts: to allow it to Lake readers only, set "
        "the rights of its group of all users under Admin, Permissions.",
    )


def test_changed_chart_changes_only_its_question(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    number = next(card["id"] for card in server.cards.values() if card["name"] == "Amount")
    applied = run(server, settings, boards(TWO[0], {**TWO[1], "unit": "USD"}))
    assert [(step.name, step.action, step.detail) for step in applied.steps] == [
        ("Amount", "change", "visualization_settings")
    ]
    assert server.writes == [f"PUT /api/card/{number}"]
    assert list(server.bodies[0][1]) == ["visualization_settings"]


def test_change_by_hand_is_replaced(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    before = state(server)
    first = next(iter(server.cards.values()))
    first["dataset_query"] = {**first["dataset_query"], "stages": [{"lib/type": "mbql.stage/native", "native": "x"}]}
    first["collection_id"] = None
    only(server.dashboards)["name"] = "Mine"
    only(server.collections)["name"] = "Mine"
    applied = run(server, settings, boards(*TWO))
    assert [(step.kind, step.action, step.detail) for step in applied.steps] == [
        ("collection", "change", "name"),
        ("question", "change", "dataset_query, collection_id"),
        ("dashboard", "change", "name"),
    ]
    assert state(server) == before


def test_chart_taken_out_is_archived_and_comes_back(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    before = {card["name"]: card["id"] for card in server.cards.values()}
    assert actions(run(server, settings, boards(TWO[0]))) == [
        ("dashboard", "Shop board", "change"),
        ("question", "Amount", "archive"),
    ]
    assert only(server.cards)["name"] == "Orders"
    assert [card["card_id"] for card in only(server.dashboards)["dashcards"]] == [before["Orders"]]
    applied = run(server, settings, boards(*TWO))
    assert actions(applied) == [("question", "Amount", "restore"), ("dashboard", "Shop board", "change")]
    assert {card["name"]: card["id"] for card in server.cards.values()} == before
    assert {card["collection_id"] for card in server.cards.values()} == {only(server.collections)["id"]}
    assert run(server, settings, boards(*TWO)).steps == ()


def test_board_taken_out_is_archived_with_all_that_is_its(server: MetabaseDouble, settings: Settings) -> None:
    charts = [chart(board="first"), chart(board="second", title="Amount")]
    run(server, settings, boards(*charts, boards=("first", "second")))
    applied = run(server, settings, boards(charts[1], boards=("second",)))
    assert actions(applied) == [
        ("question", "Orders", "archive"),
        ("dashboard", "First", "archive"),
        ("collection", "First", "archive"),
    ]
    assert only(server.collections)["name"] == only(server.dashboards)["name"] == "Second"
    assert run(server, settings, boards(charts[1], boards=("second",))).steps == ()


def add_question(server: MetabaseDouble, collection: int | None, **changes: object) -> dict[str, Any]:
    """Save a question as a person does, with an identity that Metabase makes."""
    query = {"lib/type": "mbql/query", "database": DATABASE, "stages": []}
    body = {"name": "Orders", "description": None, "dataset_query": query, "display": "table"}
    return server.create_card({**body, "visualization_settings": {}, "collection_id": collection, **changes})


def test_what_people_made_is_not_touched(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    collection, dashboard = only(server.collections)["id"], only(server.dashboards)
    ours = next(card for card in server.cards.values() if card["name"] == "Orders")
    add_question(server, None)
    add_question(server, collection, name=ours["name"], description=ours["description"])
    copied = server.create_dashboard({**dashboard, "name": "Copy"})
    copied["id"] = max(server.dashboards)
    server.create_collection({"name": "Shop board", "description": MADE_BY})
    server.collections[max(server.collections)]["archived"] = False
    before = state(server)
    assert run(server, settings, boards(*TWO)).steps == ()
    assert actions(run(server, settings, [])) == [
        ("question", "Orders", "archive"),
        ("question", "Amount", "archive"),
        ("dashboard", "Shop board", "archive"),
        ("collection", "Shop board", "leave"),
    ]
    theirs = [name for name, row in server.cards.items() if not row["archived"]]
    assert len(theirs) == 2
    assert not server.dashboards[copied["id"]]["archived"]
    assert not server.collections[collection]["archived"]
    assert [server.cards[name] for name in theirs] == [before[0][name] for name in theirs]  # type: ignore[index]
    assert run(server, settings, []).steps == ()


def test_cards_and_filters_that_people_added_stay(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    dashboard = only(server.dashboards)
    theirs = add_question(server, None)
    mapping = [{"parameter_id": "region", "target": ["dimension", ["field", 1, None]]}]
    dashboard["tabs"] = [{"id": 5, "name": "Overview", "position": 0}, {"id": 6, "name": "Mine", "position": 1}]
    dashboard["dashcards"] = [
        *({**card, "parameter_mappings": mapping, "dashboard_tab_id": 5} for card in dashboard["dashcards"]),
        new_card(server, card_id=theirs["id"], row=6, dashboard_tab_id=6, series=[{"id": theirs["id"], "name": "x"}]),
        new_card(server, row=9, dashboard_tab_id=6, visualization_settings={"text": "Read this"}),
    ]
    assert run(server, settings, boards(*TWO)).steps == ()
    added = boards(*TWO, chart(title="Third", kind="table"))
    assert ("dashboard", "Shop board", "change") in actions(run(server, settings, added))
    changed = only(server.dashboards)
    assert [tab["name"] for tab in changed["tabs"]] == ["Overview", "Mine"]
    mine, third, others = changed["dashcards"][:2], changed["dashcards"][2], changed["dashcards"][3:]
    assert [card["parameter_mappings"] for card in mine] == [mapping, mapping]
    assert third["dashboard_tab_id"] == 5
    # They begin below the table, which is 9 rows high from row 6, in their own order.
    assert [(card["row"], card["dashboard_tab_id"]) for card in others] == [(15, 6), (18, 6)]
    assert others[0]["series"] == [{"id": theirs["id"]}]
    assert others[1]["visualization_settings"] == {"text": "Read this"}
    assert run(server, settings, added).steps == ()


def new_card(server: MetabaseDouble, **changes: object) -> dict[str, Any]:
    card = {"card_id": None, "col": 0, "size_x": 4, "size_y": 3, "parameter_mappings": [], "visualization_settings": {}}
    return {"id": server.next_id(), **card, **changes}


@pytest.mark.parametrize("request_name", ["POST /api/card/", "POST /api/dashboard/", "PUT /api/collection/graph"])
def test_apply_after_a_failure_completes_without_doubles(
    server: MetabaseDouble, settings: Settings, request_name: str
) -> None:
    server.answer_instead[request_name] = (500, "no space left on device")
    with pytest.raises(LakeError, match=r"\(HTTP 500\): no space left on device"):
        run(server, settings, boards(*TWO))
    run(server, settings, boards(*TWO))
    assert sorted(card["name"] for card in server.cards.values()) == ["Amount", "Orders"]
    assert len(server.collections) == len(server.dashboards) == 1
    assert len(server.groups) == 3
    assert run(server, settings, boards(*TWO)).steps == ()


def test_dashboard_that_was_created_without_its_cards_is_completed(server: MetabaseDouble, settings: Settings) -> None:
    server.answer_instead |= {f"PUT /api/dashboard/{number}": (502, "") for number in range(100, 110)}
    with pytest.raises(LakeError, match="refuses PUT /api/dashboard/"):
        run(server, settings, boards(*TWO))
    server.answer_instead.clear()
    collection = only(server.collections)
    run(server, settings, boards(*TWO))
    assert len(only(server.dashboards)["dashcards"]) == 2
    assert only(server.collections) == collection


def test_readers_see_the_boards_and_the_schemas_of_marts_only(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    collection = str(only(server.collections)["id"])
    readers = str(server.groups[-1]["id"])
    assert server.collection_rights[readers] == {collection: "read"}
    assert server.collection_rights[str(ALL_USERS)] == {"root": "write"}
    assert server.data_rights[readers] == {31: "query-builder", 32: "query-builder", 33: "no"}
    # All that is not the lake's is as it was.
    assert server.data_rights[str(ALL_USERS)] == "query-builder-and-native"


def test_rights_that_administrators_give_to_other_groups_stay(server: MetabaseDouble, settings: Settings) -> None:
    run(server, settings, boards(*TWO))
    collection = str(only(server.collections)["id"])
    server.collection_rights["50"] = {collection: "write"}
    server.data_rights["50"] = "query-builder"
    assert run(server, settings, boards(*TWO)).steps == ()
    readers = str(server.groups[-1]["id"])
    server.data_rights[readers] = "query-builder-and-native"
    server.collection_rights[readers] = {}
    server.collection_rights[str(ALL_USERS)][collection] = "write"
    assert len(run(server, settings, boards(*TWO)).steps) == 2
    assert server.collection_rights == {
        str(ALL_USERS): {"root": "write"},
        "50": {collection: "write"},
        readers: {collection: "read"},
    }
    assert server.data_rights["50"] == "query-builder"
    assert server.data_rights[readers] == {31: "query-builder", 32: "query-builder", 33: "no"}


def test_schema_that_metabase_has_not_synced_is_a_note(server: MetabaseDouble, settings: Settings) -> None:
    server.tables.clear()
    server.data_rights[str(ALL_USERS)] = "no"
    applied = run(server, settings, boards(*TWO))
    assert applied.notes == (
        "Add the people who may see the boards to Metabase's group Lake readers.",
        "Metabase has not synced metrics, shop_data_mart yet: run `lake bi apply` again when it has.",
    )
    readers = str(server.groups[-1]["id"])
    server.data_rights[readers] = "query-builder"
    assert run(server, settings, boards(*TWO)).steps == ()
    server.data_rights[readers] = "no"
    server.tables[31] = ("shop_data_mart", "orders")
    applied = run(server, settings, boards(*TWO), ("shop_data_mart",))
    assert actions(applied) == [("permissions", "Lake readers", "change")]
    assert applied.notes == ()


def test_database_is_the_one_that_reads_the_lake_as_analyst(server: MetabaseDouble, settings: Settings) -> None:
    server.databases[1:] = [database(8, dbname="other"), database(9, user="lake"), database(DATABASE)]
    run(server, settings, boards(chart()))
    assert only(server.cards)["database_id"] == DATABASE


def test_address_decides_between_databases_of_two_lakes(server: MetabaseDouble, settings: Settings) -> None:
    here = {"host": settings.postgres.host, "port": settings.postgres.port}
    server.databases[1:] = [database(6), database(DATABASE, **here)]
    run(server, settings, boards(chart()))
    assert only(server.cards)["database_id"] == DATABASE


def test_boards_of_another_lake_are_not_touched(server: MetabaseDouble, settings: Settings) -> None:
    """Guard of two lakes in one Metabase, whose boards have the same names."""
    theirs = f"{MADE_BY} {Marker(DATABASE + 1, 'shop_board')}"
    server.create_collection({"name": "Shop board", "description": theirs})
    before = deepcopy(server.collections)
    run(server, settings, boards(chart()))
    run(server, settings, [])
    assert {name: server.collections[name] for name in before} == before


def refused(server: MetabaseDouble, settings: Settings, kind: type[LakeError] = SettingsError) -> str:
    """Return the sentence for which nothing is applied, without the key in it."""
    with pytest.raises(kind) as error:
        run(server, settings, boards(*TWO))
    assert server.writes == []
    assert KEY not in str(error.value)
    return str(error.value)


def test_database_that_is_not_connected_is_one_sentence(server: MetabaseDouble, settings: Settings) -> None:
    del server.databases[1]
    assert refused(server, settings, LakeError) == (
        f"Metabase at {server.url} is not connected to the lake's Postgres: add a database of type PostgreSQL with "
        "database name lake and user analyst, as docs/dashboards.md describes."
    )
    server.databases += [database(8, host="a"), database(9, host="b") | {"name": "Lake too"}]
    assert "has several databases with database name lake and user analyst (Lake, Lake too)" in refused(
        server, settings, LakeError
    )


def test_wrong_key_is_one_sentence(server: MetabaseDouble, settings: Settings) -> None:
    file = settings.home / "secrets" / "metabase_key"
    write_key(file, "mb_old")
    assert refused(server, settings) == (f"Metabase at {server.url} refuses the API key in {file}: create another one.")
    write_key(file, KEY)
    server.is_admin = False
    assert "is not of Metabase's group Administrators" in refused(server, settings)
    file.chmod(0o644)
    assert "run `chmod 600" in refused(server, settings)
    write_key(file, "k\N{LATIN SMALL LETTER E WITH ACUTE}y")
    assert "characters that no API key has" in refused(server, settings)


@pytest.mark.parametrize("tag", ["v0.57.19", "v1.50.3.2"])
def test_older_metabase_is_one_sentence(server: MetabaseDouble, settings: Settings, tag: str) -> None:
    server.tag = tag
    sentence = f"Metabase at {server.url} is {tag}: `lake bi apply` needs v0.58 or newer."
    assert refused(server, settings) == sentence


@pytest.mark.parametrize("tag", ["v0.58.0", "v1.64.1", "vLOCAL_DEV"])
def test_newer_metabase_of_any_edition_is_accepted(server: MetabaseDouble, settings: Settings, tag: str) -> None:
    server.tag = tag
    assert run(server, settings, boards(*TWO)).steps


def test_address_of_something_else_is_one_sentence(server: MetabaseDouble, settings: Settings) -> None:
    server.answer_instead["GET /api/session/properties"] = (200, "<html>")
    assert "is no Metabase (HTTP 200): write the address at which people open it." in refused(server, settings)
    server.answer_instead["GET /api/session/properties"] = (302, "http://127.0.0.1:1/elsewhere")
    assert "is no Metabase (HTTP 302)" in refused(server, settings)


def test_metabase_that_does_not_run_is_one_sentence(settings: Settings) -> None:
    with metabase_double() as ended:
        url = ended.url
    with (
        pytest.raises(Unavailable) as error,
        Metabase(read_address(url, settings.home / "secrets")),
    ):
        pass
    assert str(error.value) == f"Metabase at {url} does not answer (ConnectionError): check the address, and start it."


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("metabase.example.com", "is no address"),
        ("ftp://metabase.example.com", "is no address"),
        ("http://[", "is none"),
        ("https://metabase.example.com/?a=b", "is no address"),
        ("https://ann:secret@metabase.example.com", "has a login in it"),
        ("http://metabase.example.com", "would show the API key"),
        ("http://10.0.0.7:3000", "would show the API key"),
    ],
)
def test_unusable_address_is_refused_before_any_request(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as error:
        read_address(url, tmp_path)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["https://metabase.example.com/bi/", "http://metabase:3000", "http://127.0.0.1:3001"])
def test_usable_address_has_no_slash_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read_address(url, tmp_path).url == url.rstrip("/")
    assert read_address(url, tmp_path).key_file == tmp_path / "metabase_key"
    monkeypatch.setenv("LAKE_METABASE_KEY_FILE", "/elsewhere/key")
    assert read_address(url, tmp_path).key_file == Path("/elsewhere/key")


def test_refusal_of_a_request_is_one_sentence(server: MetabaseDouble, settings: Settings) -> None:
    server.answer_instead["POST /api/card/"] = (400, '{"errors": {"display":\n "unknown"}}' + "x" * 500)
    with pytest.raises(LakeError) as error:
        run(server, settings, boards(*TWO))
    assert str(error.value).startswith(
        f'Metabase at {server.url} refuses POST /api/card/ (HTTP 400): {{"errors": {{"display": "unknown"}}}}xxx'
    )
    assert len(str(error.value)) < 400
    server.answer_instead["PUT /api/permissions/graph"] = (409, "out of date")
    with pytest.raises(LakeError, match="run `lake bi apply` again"):
        run(server, settings, boards(*TWO))


def test_key_is_sent_in_its_header_whatever_the_login_file_has(
    server: MetabaseDouble, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password other\n", "utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    assert run(server, settings, boards(*TWO)).steps


def use_project(monkeypatch: pytest.MonkeyPatch, charts: object) -> None:
    monkeypatch.setattr(boards_module, "load_manifest", lambda _: manifest(charts))
    monkeypatch.setattr(boards_module, "read_copy", lambda _: Catalog({each.name: each for each in ASSETS}, {}))


def test_command_prints_what_it_changed(
    server: MetabaseDouble, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_project(monkeypatch, [*TWO])
    first = CliRunner().invoke(command, ["apply", "--metabase", server.url], catch_exceptions=False)
    assert "question" in first.stdout
    assert "Add the people who may see the boards" in first.stderr
    second = CliRunner().invoke(command, ["apply", "--metabase", f"{server.url}/"], catch_exceptions=False)
    assert second.stdout == "Nothing to apply: Metabase matches the boards.\n"


def test_nothing_is_archived_while_a_chart_has_a_mistake(
    server: MetabaseDouble, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_project(monkeypatch, [*TWO, chart(x="nowhere")])
    result = CliRunner().invoke(command, ["apply", "--metabase", server.url])
    assert isinstance(result.exception, LakeError)
    assert "charts[2].x: shop_data_mart.orders has no column 'nowhere'" in str(result.exception)
    assert server.requests == []


def test_marts_in_a_cloud_have_no_boards_in_metabase(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_TARGET", "aws")
    monkeypatch.setenv("LAKE_BUCKET", "s3://bucket")
    with pytest.raises(LakeError, match="on the target `aws` marts are not in Postgres"):
        boards_module.described_boards(load_settings())
