"""Judge the compiled SQL of models before dbt runs it: a mart reads models, sources and metrics, and nothing else.

The text of a model proves little: a macro, a comment or a quoted name hides what it reads. DuckDB's own parser sees the
SQL that dbt is about to run.
"""

import re
from collections.abc import Collection
from typing import Any

from lake_assets.select_syntax import NotASelect, Select, parse_select

# Schemas that analysts may read anyway.
_SHARED = re.compile(r"metrics|[a-z][a-z0-9_]*_data_mart")
# Table functions without access to files, other databases or other statements.
_HARMLESS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
_JUDGED = frozenset({"model", "snapshot"})
# dbt puts an ephemeral model in front of its reader as a common table expression of this name.
_EPHEMERAL = "__dbt__cte__"


def problem_of_model(sql: str, tables: Collection[tuple[str, str]], ephemeral: Collection[str]) -> str | None:
    """Return why a model's compiled SQL may not run; None if it may.

    `tables` are schema and name of what it reads by `ref()` and `source()`. `ephemeral` are the names of generated
    models in its SQL, which may read their staging tables.
    """
    try:
        select = parse_select(sql, frozenset(f"{_EPHEMERAL}{name}" for name in ephemeral))
    except NotASelect as error:
        return f"is not one SELECT of DuckDB: {error}"
    return _problem(select, tables)


def _problem(select: Select, tables: Collection[tuple[str, str]]) -> str | None:
    for function in select.functions:
        if function.is_table and function.name not in _HARMLESS:
            return f"calls {function.name} in line {function.line} of its compiled SQL: marts read no files"
    for table in select.tables:
        if (table.schema, table.name) not in tables and not _SHARED.fullmatch(table.schema):
            return (
                f"reads {table} in line {table.line} of its compiled SQL: marts read `stg_` models, other marts and "
                "metrics, by ref() or source()"
            )
    return None


def judge_compiled_models() -> None:
    """Let this process's dbt fail each model whose compiled SQL may not run, before it runs."""
    from dbt.compilation import Compiler

    compile_node = Compiler.compile_node

    def compile_and_judge(compiler: Any, node: Any, manifest: Any, *args: Any, **options: Any) -> Any:
        compiled = compile_node(compiler, node, manifest, *args, **options)
        if (problem := _problem_of_node(compiled, manifest)) is not None:
            from dbt_common.exceptions import CompilationError

            raise CompilationError(f"the model {compiled.name} {problem}.", compiled)
        return compiled

    Compiler.compile_node = compile_and_judge  # pyright: ignore[reportAttributeAccessIssue]


def _problem_of_node(node: Any, manifest: Any) -> str | None:
    if node.resource_type not in _JUDGED or node.path.startswith("staging/"):
        return None
    if node.language != "sql":
        return f"is written in {node.language}: marts are SQL"
    tables, staging = {(node.schema, node.alias)}, list[str]()
    pending = [node]
    while pending:
        for parent in pending.pop().depends_on.nodes:
            if source := manifest.sources.get(parent):
                tables.add((source.schema, source.identifier))
            elif model := manifest.nodes.get(parent):
                tables.add((model.schema, model.alias))
                if model.is_ephemeral_model and model.path.startswith("staging/"):
                    staging.append(model.alias)
                elif model.is_ephemeral_model:
                    pending.append(model)  # its SQL is part of this model's
    return problem_of_model(node.compiled_code, tables, staging)
