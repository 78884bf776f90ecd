{#
  What dbt asks about the marts' Postgres before it builds, put to Postgres itself. dbt-duckdb asks DuckDB, which then
  loads the description of every table of every attached database: seconds, in a lake of a few hundred assets.
#}
{% macro duckdb__list_schemas(database) -%}
  {%- if database | replace('"', '') != 'serving' -%}
    {{ return(dbt.duckdb__list_schemas(database)) }}
  {%- endif -%}
  {{ return(run_query("select * from postgres_query('serving', 'select nspname as schema_name from pg_namespace')")) }}
{%- endmacro %}

{% macro duckdb__list_relations_without_caching(schema_relation) -%}
  {%- if schema_relation.database != 'serving' -%}
    {{ return(dbt.duckdb__list_relations_without_caching(schema_relation)) }}
  {%- endif -%}
  {%- set query -%}
    select 'serving' as database, * from postgres_query('serving', '
      select table_name as name, table_schema as schema, case table_type when ''VIEW'' then ''view'' else ''table'' end as type
      from information_schema.tables
      where table_schema = ''{{ schema_relation.schema }}''
    ')
  {%- endset -%}
  {{ return(run_query(query)) }}
{%- endmacro %}


{#
  Descriptions of a mart and its columns as comments in Postgres, where BI tools and catalogs read them, and the time of
  the build at the end of the mart's. DuckDB cannot comment on an attached Postgres, so one statement goes to Postgres
  itself. It comments on columns that are there: a description never fails a mart. `now()` is when the build began.
#}
{% macro duckdb__persist_docs(relation, model, for_relation, for_columns) -%}
  {%- if relation.database | replace('"', '') != 'serving' -%}
    {{ return(dbt.default__persist_docs(relation, model, for_relation, for_columns)) }}
  {%- endif -%}
  {%- if not (for_relation and config.persist_relation_docs()) -%}
    {{ return('') }}
  {%- endif -%}
  {%- set table = quoted_text(relation.schema) ~ ', ' ~ quoted_text(relation.identifier) -%}
  {%- set described = [] -%}
  {%- for column in model.columns.values() if column.description -%}
    {%- do described.append('(' ~ quoted_text(column.name) ~ ', ' ~ quoted_text(column.description) ~ ')') -%}
  {%- endfor -%}
  {%- set body -%}
    declare described record;
    begin
      execute format('comment on table %I.%I is %L', {{ table }}, concat_ws(
        chr(10), nullif({{ quoted_text(model.description) }}, ''),
        to_char(now() at time zone 'UTC', '"Built" YYYY-MM-DD HH24:MI:SS "UTC."')
      ));
      {% if described -%}
      for described in
        select attname, description
        from pg_attribute
        inner join (values {{ described | join(', ') }}) as texts (name, description) on name = attname
        where attrelid = format('%I.%I', {{ table }})::regclass and attnum > 0 and not attisdropped
      loop
        execute format('comment on column %I.%I.%I is %L', {{ table }}, described.attname, described.description);
      end loop;
      {%- endif %}
    end
  {%- endset -%}
  {%- do run_query("call postgres_execute('serving', " ~ quoted_text('do ' ~ quoted_text(body)) ~ ')') -%}
{%- endmacro %}

{% macro quoted_text(text) -%}
  {{ return("'" ~ text | trim | replace("'", "''") ~ "'") }}
{%- endmacro %}
