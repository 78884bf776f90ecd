-- Generated from the contract of sales by `lake apply`: edit the contract, not this file.
with

history as (

  select
    *,
    row_number() over (
      partition by order_id
      order by _event_at desc, _kafka_partition desc, _offset desc
    ) as _age
  from {{ source('sales_staging', 'sales') }}

)

select
  order_id,
  region,
  product,
  quantity,
  amount,
  ordered_at
from history
where _age = 1
