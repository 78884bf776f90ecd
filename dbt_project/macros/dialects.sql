{# The few things that DuckDB, BigQuery and Athena write differently. Everything else in a model is plain SQL. #}

{# First day of the timestamp's month, UTC, as a date. #}
{% macro month_of(timestamp) -%}
  {{ return(adapter.dispatch('month_of')(timestamp)) }}
{%- endmacro %}

{% macro default__month_of(timestamp) -%}
  cast(date_trunc('month', {{ timestamp }}) as date)
{%- endmacro %}

{% macro bigquery__month_of(timestamp) -%}
  date_trunc(date({{ timestamp }}), month)
{%- endmacro %}


{# The timestamp's day, UTC, as a date. #}
{% macro day_of(timestamp) -%}
  {{ return(adapter.dispatch('day_of')(timestamp)) }}
{%- endmacro %}

{% macro default__day_of(timestamp) -%}
  cast({{ timestamp }} as date)
{%- endmacro %}

{% macro bigquery__day_of(timestamp) -%}
  date({{ timestamp }})
{%- endmacro %}


{# Days from one timestamp to another with their fraction, negative when the second is earlier. #}
{% macro days_between(earlier, later) -%}
  {{ return(adapter.dispatch('days_between')(earlier, later)) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
  date_diff('second', {{ earlier }}, {{ later }}) / 86400.0
{%- endmacro %}

{% macro bigquery__days_between(earlier, later) -%}
  timestamp_diff({{ later }}, {{ earlier }}, second) / 86400
{%- endmacro %}

{% macro athena__days_between(earlier, later) -%}
  cast(date_diff('second', {{ earlier }}, {{ later }}) as double) / 86400
{%- endmacro %}


{# A ratio with its fraction; null when the denominator is 0. #}
{% macro ratio(numerator, denominator) -%}
  {{ return(adapter.dispatch('ratio')(numerator, denominator)) }}
{%- endmacro %}

{% macro default__ratio(numerator, denominator) -%}
  {{ numerator }} / nullif({{ denominator }}, 0)
{%- endmacro %}

{% macro bigquery__ratio(numerator, denominator) -%}
  safe_divide({{ numerator }}, {{ denominator }})
{%- endmacro %}

{# Trino divides integers to an integer. #}
{% macro athena__ratio(numerator, denominator) -%}
  cast({{ numerator }} as double) / nullif({{ denominator }}, 0)
{%- endmacro %}
