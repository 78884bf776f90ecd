"""Brings the ledger of an older lake to what `schema` says, before its tables are made where they are missing."""

# Once an asset's major versions were told apart by a column of their own; now each has a name of its own. What was
# queued was the newest version's. Without a cursor raw is looked at from its beginning, and what was published since
# is not queued again.
NAME_VERSIONS = """\
do $$
declare
  told text;
begin
  if not exists (
    select from information_schema.columns
    where table_schema = 'ledger' and table_name = 'window' and column_name = 'major'
  ) then
    return;
  end if;
  create temporary table newest on commit drop as
    select asset, asset || '_v' || max(major) as name from ledger.contract group by asset having max(major) > 1;
  update ledger.pending as p set asset = newest.name from newest where p.asset = newest.asset;
  update ledger.removal as r set asset = newest.name from newest where r.asset = newest.asset and element <> 'raw';
  delete from ledger.raw_cursor where asset in (select asset from newest);
  delete from ledger.arrival where asset in (select asset from newest);
  foreach told in array
    array['contract', 'window', 'window_partition', 'unknown_field', 'held_back', 'backfill', 'backfill_window']
  loop
    execute format('alter table ledger.%I drop constraint %I cascade', told, told || '_pkey');
    execute format('update ledger.%I set asset = asset || ''_v'' || major where major > 1', told);
    execute format('alter table ledger.%I drop column major', told);
  end loop;
  alter table ledger.contract add primary key (asset);
  alter table ledger.window add primary key (asset, "window");
  alter table ledger.window_partition add primary key (asset, "window", topic, partition),
    add foreign key (asset, "window") references ledger.window on delete cascade;
  alter table ledger.unknown_field add primary key (asset, "window", name, type),
    add foreign key (asset, "window") references ledger.window on delete cascade;
  alter table ledger.held_back add primary key (asset, "window");
  alter table ledger.backfill add primary key (asset);
  alter table ledger.backfill_window add primary key (asset, "window"),
    add foreign key (asset) references ledger.backfill on delete cascade;
end
$$;
"""
