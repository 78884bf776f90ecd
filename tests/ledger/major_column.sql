-- Earlier still, a column held the major version.
alter table ledger.contract drop constraint contract_pkey, add column major integer not null;
alter table ledger.contract add primary key (asset, major);
alter table ledger.window_partition drop constraint window_partition_asset_window_fkey,
  drop constraint window_partition_pkey, add column major integer not null;
alter table ledger.unknown_field drop constraint unknown_field_asset_window_fkey,
  drop constraint unknown_field_pkey, add column major integer not null;
alter table ledger.backfill_window drop constraint backfill_window_asset_fkey,
  drop constraint backfill_window_pkey, add column major integer not null;
alter table ledger.window drop constraint window_pkey, add column major integer not null;
alter table ledger.window add primary key (asset, major, "window");
alter table ledger.backfill drop constraint backfill_pkey, add column major integer not null;
alter table ledger.backfill add primary key (asset, major);
alter table ledger.window_partition add primary key (asset, major, "window", topic, partition),
  add foreign key (asset, major, "window") references ledger.window on delete cascade;
alter table ledger.unknown_field add primary key (asset, major, "window", name, type),
  add foreign key (asset, major, "window") references ledger.window on delete cascade;
alter table ledger.held_back drop constraint held_back_pkey, add column major integer not null;
alter table ledger.held_back add primary key (asset, major, "window");
alter table ledger.backfill_window add primary key (asset, major, "window"),
  add foreign key (asset, major) references ledger.backfill on delete cascade;
insert into ledger.contract (asset, major, version, text) values ('a', 1, '1.0.0', ''), ('a', 2, '2.0.0', ''),
  ('b', 1, '1.3.0', '');
insert into ledger.window (asset, major, "window", sequence, contract_version, run_id, engine, raw_rows, good,
  quarantined, duplicates, raw_bytes, seconds)
  select name, major, '2026-01-01', 1, '', '', '', 1, 1, 0, 0, 1, 1 from (values ('a', 1), ('a', 2), ('b', 1)) as w (name, major);
insert into ledger.window_partition (asset, major, "window", topic, partition, raw, good, quarantined, duplicates,
  redelivered, min_offset, max_offset) values ('a', 2, '2026-01-01', 'x.a', 0, 1, 1, 0, 0, 0, 0, 0);
insert into ledger.pending (asset, "window", sequence, reason, rows, bytes, files)
  values ('a', '2026-01-02', 2, 'landed', 1, 1, 1), ('b', '2026-01-02', 2, 'landed', 1, 1, 1);
insert into ledger.raw_cursor (asset, cursor) values ('a', '1.a.a'), ('b', '1.b.b');
insert into ledger.removal (asset, element, "window", sequence, rows)
  values ('a', 'raw', '2025-01-01', 1, 1), ('a', 'staging', '2025-01-01', 1, 1);
