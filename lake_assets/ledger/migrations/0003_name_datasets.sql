-- What belongs to a dataset is under the dataset's name. A removal from raw is the dataset's, whose versions share raw;
-- one from a table is the asset's.
alter table ledger.receipt rename column asset to dataset;
alter index ledger.receipt_asset rename to receipt_dataset;
alter table ledger.leftover_file rename column asset to dataset;
alter table ledger.removal alter column asset drop not null, add column dataset text;
update ledger.removal set dataset = asset, asset = null where element = 'raw';
alter table ledger.removal add constraint removal_owner
  check (num_nonnulls(asset, dataset) = 1 and (element = 'raw') = (dataset is not null));
create index removal_dataset on ledger.removal (dataset, "window");
