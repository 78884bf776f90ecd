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
