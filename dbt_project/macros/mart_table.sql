{#
  A table that is built beside the one it replaces and then takes its name. In the marts' Postgres this waits for no
  reader: while one still reads the old table, its rows are replaced instead, which readers see when they begin anew.
#}
{% materialization table, adapter="duckdb" %}
  {%- set target = this.incorporate(type='table') -%}
  {%- set existing = load_cached_relation(this) -%}
  {%- set new = make_intermediate_relation(target) -%}
  {#- Left by a build that was killed; `backup` by one of an older version. -#}
  {%- for left in (new, make_backup_relation(target, 'table')) -%}
    {{ drop_relation_if_exists(load_cached_relation(left)) }}
  {%- endfor -%}
  {{ run_hooks(pre_hooks, inside_transaction=False) }}
  {{ run_hooks(pre_hooks, inside_transaction=True) }}
  {% call statement('main') -%}
    {{ create_table_as(False, new, compiled_code) }}
  {%- endcall %}
  {%- do create_indexes(new) -%}
  {%- if target.database | replace('"', '') == 'serving' -%}
    {%- do run_query("call postgres_execute('serving', " ~ quoted_text('do ' ~ quoted_text(replace_mart(new, target))) ~ ')') -%}
  {%- else -%}
    {{ drop_relation_if_exists(existing) }}
    {{ adapter.rename_relation(new, target) }}
  {%- endif -%}
  {{ run_hooks(post_hooks, inside_transaction=True) }}
  {%- do persist_docs(target, model) -%}
  {{ adapter.commit() }}
  {{ run_hooks(post_hooks, inside_transaction=False) }}
  {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#
  The body of a block of PL/pgSQL. Rows are replaced for readers in transactions shorter than a minute (five seconds,
  if idle): the rows that they keep are dead rows for everybody else, and how many there may be must have an end. For
  older ones it waits, and lake_assets/warehouse/local/mart_blockers.py ends them. A mart whose columns change waits too.
#}
{% macro replace_mart(new, target) -%}
  {%- set of = {'new': new.include(database=false), 'mart': target.include(database=false)} -%}
  declare
    mart regclass := to_regclass({{ quoted_text(of.mart) }});
    new regclass := {{ quoted_text(of.new) }}::regclass;
    patience text := current_setting('lock_timeout');
  begin
    if (select relkind = 'v' from pg_class where oid = mart) then
      drop view {{ of.mart }} cascade;
    elsif mart is not null then
      perform set_config('lock_timeout', '200ms', true);
      begin
        lock table {{ of.mart }} in access exclusive mode;
      exception when lock_not_available then
        perform set_config('lock_timeout', patience, true);
        if (
          select array_agg((attname, atttypid, atttypmod, attnotnull) order by attnum)
            filter (where attrelid = mart)
            = array_agg((attname, atttypid, atttypmod, attnotnull) order by attnum) filter (where attrelid = new)
          from pg_attribute
          where attrelid in (mart, new) and attnum > 0 and not attisdropped
        ) and not exists (
          select from pg_locks
          inner join pg_stat_activity using (pid)
          where relation = mart and granted and pid <> pg_backend_pid() and (
            xact_start < clock_timestamp() - interval '{{ env_var("LAKE_BUSY_READER_SECONDS", "60") }} s'
            or state <> 'active'
            and state_change < clock_timestamp() - interval '{{ env_var("LAKE_IDLE_READER_SECONDS", "5") }} s'
          )
        ) then
          delete from {{ of.mart }};
          insert into {{ of.mart }} select * from {{ of.new }};
          drop table {{ of.new }};
          return;
        end if;
        lock table {{ of.mart }} in access exclusive mode;
      end;
      perform set_config('lock_timeout', patience, true);
      drop table {{ of.mart }} cascade;
    end if;
    alter table {{ of.new }} rename to {{ adapter.quote(target.identifier) }};
  end
{%- endmacro %}
