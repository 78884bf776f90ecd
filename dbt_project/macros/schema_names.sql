{#
  A mart's schema is the folder its model lies in, with no prefix, so that a new mart is a new folder and nothing else.
  LAKE_DBT_SCHEMA puts everything into one schema of the caller's own instead.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- set own = env_var('LAKE_DBT_SCHEMA', '') -%}
  {%- if own -%}
    {{ own }}
  {%- elif custom_schema_name -%}
    {{ custom_schema_name | trim }}
  {%- elif node.resource_type == 'model' and node.fqn | length > 3 and node.fqn[1] == 'marts' -%}
    {{ node.fqn[2] }}
  {%- else -%}
    {{ target.schema }}
  {%- endif -%}
{%- endmacro %}
