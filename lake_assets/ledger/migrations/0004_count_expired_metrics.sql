-- Late events that retention deleted from a metric's table: the audit still counts them as arrived.
create table ledger.metric_expired (
  metric text not null,
  shard integer not null,
  late_rows bigint not null,
  primary key (metric, shard)
);
