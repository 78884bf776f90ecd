-- The tables, as far as an older ledger lacks them.
create schema if not exists ledger;

-- The contract of each asset as it was last applied.
create table if not exists ledger.contract (
  asset text not null,
  version text not null,
  text text not null,
  applied_at timestamptz not null default now(),
  primary key (asset)
);

-- The text of each metric as it was last applied.
create table if not exists ledger.metric (
  metric text primary key,
  text text not null,
  applied_at timestamptz not null default now()
);

-- The position up to which the raw table of each asset has been read; the cursor is landing's own.
create table if not exists ledger.raw_cursor (
  asset text primary key,
  cursor text not null,
  observed_at timestamptz not null default now()
);

-- A queue: rows added to a window since it was last built. Entries leave when its materialization is recorded.
create table if not exists ledger.pending (
  id bigint generated always as identity,
  asset text not null,
  "window" text not null,
  sequence bigint not null,
  reason text not null check (reason in ('landed', 'contract')),
  rows bigint not null,
  bytes bigint not null,
  files integer not null,
  min_offset bigint,
  max_offset bigint,
  seen_at timestamptz not null default now(),
  requested_at timestamptz,
  primary key (asset, "window", sequence, reason)
);
create unique index if not exists pending_id on ledger.pending (id);

-- Inputs and counts of each published window.
create table if not exists ledger.window (
  asset text not null,
  "window" text not null,
  sequence bigint not null,
  contract_version text not null,
  run_id text not null,
  engine text not null,
  raw_rows bigint not null,
  good bigint not null,
  quarantined bigint not null,
  duplicates bigint not null,
  raw_bytes bigint not null,
  seconds double precision not null,
  published_at timestamptz not null default now(),
  primary key (asset, "window"),
  check (raw_rows = good + quarantined + duplicates)
);
-- The published output as JSON: the files, which stay in the bucket, and their counts.
alter table ledger.window add column if not exists output text;
-- Duplicates that differ in another field from the row with their key.
alter table ledger.window add column if not exists conflicts bigint not null default 0;

create table if not exists ledger.window_partition (
  asset text not null,
  "window" text not null,
  topic text not null,
  partition integer not null,
  raw bigint not null,
  good bigint not null,
  quarantined bigint not null,
  duplicates bigint not null,
  redelivered bigint not null,
  min_offset bigint not null,
  max_offset bigint not null,
  primary key (asset, "window", topic, partition),
  foreign key (asset, "window") references ledger.window on delete cascade,
  check (raw = good + quarantined + duplicates)
);

-- Keys of the payloads in each published window that its contract does not declare; the most frequent ones.
create table if not exists ledger.unknown_field (
  asset text not null,
  "window" text not null,
  name text not null,
  type text not null,
  rows bigint not null,
  primary key (asset, "window", name, type),
  foreign key (asset, "window") references ledger.window on delete cascade
);

-- Offsets that were read on the broker and shown to hold no record: transaction markers, aborted or compacted away.
create table if not exists ledger.no_record (
  topic text not null,
  partition integer not null,
  first bigint not null,
  last bigint not null,
  primary key (topic, partition, first),
  check (first <= last)
);

-- Progress of assets whose contract declares an expected frequency, and the time they last advanced.
create table if not exists ledger.arrival (
  asset text primary key,
  "end" bigint not null,
  end_at timestamptz not null,
  landed bigint not null,
  waiting_since timestamptz
);

-- Windows that a blocking check held back; readers still see the previous publication.
create table if not exists ledger.held_back (
  asset text not null,
  "window" text not null,
  run_id text not null,
  checks text[] not null,
  held_at timestamptz not null default now(),
  primary key (asset, "window")
);
-- A reason for users, when the names of the checks are not enough.
alter table ledger.held_back add column if not exists sentence text;

-- Windows that could not be built, each with its cause; the window '' stands for all of the asset's. A retry cannot
-- help where `next_try` is null. `requested_at` is the time a run was requested for the next try.
create table if not exists ledger.failure (
  asset text not null,
  "window" text not null,
  cause text not null,
  tries integer not null,
  failed_at timestamptz not null,
  next_try timestamptz,
  requested_at timestamptz,
  primary key (asset, "window")
);

-- The windows that a run is building, while it holds the lock of their dataset; see `attempts`.
create table if not exists ledger.attempt (
  asset text primary key,
  windows text[] not null,
  began_at timestamptz not null default now()
);

-- Assets whose raw table could not be read when it was last read, and the cause.
create table if not exists ledger.unreadable_raw (
  asset text primary key,
  cause text not null,
  since timestamptz not null default now()
);

-- The last backfill of each asset. `ended_at` is null while some of its windows remain.
create table if not exists ledger.backfill (
  asset text not null,
  first text not null,
  last text not null,
  contract_version text not null,
  began_at timestamptz not null default now(),
  ended_at timestamptz,
  primary key (asset)
);

-- Its windows. `published_at` is that of the backfill's own publication; the columns after it describe the
-- earlier publication, and are null if there was none.
create table if not exists ledger.backfill_window (
  asset text not null,
  "window" text not null,
  state text not null default 'left' check (state in ('left', 'asked', 'made', 'undoing', 'undone')),
  published_at timestamptz,
  contract_version text,
  run_id text,
  engine text,
  seconds double precision,
  output text,
  primary key (asset, "window"),
  foreign key (asset) references ledger.backfill on delete cascade
);

-- Removals by retention, by window. `removed_at` is null from the decision until the removal is known to be
-- done; it removes raw files up to that sequence number. `asset` is the dataset for raw, since its versions share raw.
create table if not exists ledger.removal (
  id bigint generated always as identity primary key,
  asset text not null,
  element text not null check (element in ('raw', 'staging', 'quarantine')),
  "window" text not null,
  sequence bigint not null,
  rows bigint not null,
  decided_at timestamptz not null default now(),
  removed_at timestamptz
);
create index if not exists removal_window on ledger.removal (asset, "window");

-- The offsets that a removal deleted from raw, as ranges (inclusive), so that the audit misses none of them.
create table if not exists ledger.removal_offsets (
  removal bigint not null references ledger.removal on delete cascade,
  topic text not null,
  partition integer not null,
  first bigint not null,
  last bigint not null,
  primary key (removal, topic, partition, first),
  check (first <= last)
);

-- Files of raw that no snapshot needs, from the decision to expire the last one until they are deleted; `asset` is the
-- dataset.
create table if not exists ledger.leftover_file (
  asset text not null,
  url text not null,
  primary key (asset, url)
);

-- Conformed files that no table references, not yet or no longer, and since when.
create table if not exists ledger.superseded_file (
  asset text not null,
  url text primary key,
  since timestamptz not null default now()
);
create index if not exists superseded_file_asset on ledger.superseded_file (asset);

-- Erasures of `lake forget`, running while `done_at` is null. A hash stands for the subject: with the lake's
-- key when there is no salt. `rewritten_at` is null until raw is rewritten without the rows, which were in `files`
-- at that sequence number; `counted_at` until they are deleted from the tables and the windows' counts. `asset` is
-- the dataset: a subject is erased from all its versions.
create table if not exists ledger.receipt (
  id bigint generated always as identity primary key,
  asset text not null,
  fields text[] not null,
  hash text not null,
  salt text,
  checksum text not null,
  sequence bigint not null,
  files text[] not null,
  files_deleted integer not null default 0,
  decided_at timestamptz not null default now(),
  rewritten_at timestamptz,
  counted_at timestamptz,
  done_at timestamptz
);
create index if not exists receipt_asset on ledger.receipt (asset);

create table if not exists ledger.forgotten_window (
  receipt bigint not null references ledger.receipt,
  "window" text not null,
  raw bigint not null,
  staging bigint not null,
  quarantine bigint not null,
  primary key (receipt, "window")
);

-- The offsets of the rows, as ranges (inclusive); those no longer `in_raw` were in the tables only.
create table if not exists ledger.forgotten_offsets (
  receipt bigint not null references ledger.receipt,
  "window" text not null,
  topic text not null,
  partition integer not null,
  first bigint not null,
  last bigint not null,
  in_raw boolean not null,
  primary key (receipt, "window", topic, partition, first),
  check (first <= last)
);

-- Assets removed by `lake remove`, in progress while `done_at` is null, with the parts that were `kept`.
-- `text` is the contract as it was applied. The connector of the domain leaves `topic` out until a contract that names
-- it is applied; null while another version of the dataset needs it.
create table if not exists ledger.removed_asset (
  asset text primary key,
  domain text not null,
  topic text,
  text text not null,
  raw_location text,
  kept text[] not null,
  checksum text not null,
  decided_at timestamptz not null default now(),
  done_at timestamptz
);
