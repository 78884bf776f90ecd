-- Each major version of a dataset has its own asset name; earlier a column held the major version. Queued entries belonged
-- to the newest version. Without a cursor raw is read from its beginning, and windows published since are not queued
-- again.
do $$
declare
  target_table text;
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
  foreach target_table in array
    array['contract', 'window', 'window_partition', 'unknown_field', 'held_back', 'backfill', 'backfill_window']
  loop
    execute format('alter table ledger.%I drop constraint %I cascade', target_table, target_table || '_pkey');
    execute format('update ledger.%I set asset = asset || ''_v'' || major where major > 1', target_table);
    execute format('alter table ledger.%I drop column major', target_table);
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
