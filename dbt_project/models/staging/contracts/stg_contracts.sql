-- Generated from the contract of contracts by `lake apply`: edit the contract, not this file.
with

history as (

  select
    *,
    row_number() over (
      partition by contract_id
      order by _event_at desc, _kafka_partition desc, _offset desc
    ) as _age
  from {{ source('contracts_staging', 'contracts') }}

)

select
  contract_id,
  lead_id,
  product,
  amount,
  currency,
  term_months,
  sales_person,
  signed_at
from history
where _age = 1
