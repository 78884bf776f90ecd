-- Uses of `lake preview` and `lake diff`: `os_user` ran the command for `analyst`. `query` is the compiled SQL of the
-- model. `rows` is null while the command runs, and if it failed or was killed.
create table ledger.preview (
  id bigint generated always as identity primary key,
  analyst text not null,
  os_user text not null,
  command text not null check (command in ('preview', 'diff')),
  model text not null,
  query text not null,
  rows bigint,
  began_at timestamptz not null default now(),
  ended_at timestamptz
);
