-- Generated from the contract of leads by `lake apply`: edit the contract, not this file.
with

history as (

  select
    *,
    row_number() over (
      partition by lead_id
      order by _event_at desc, _kafka_partition desc, _offset desc
    ) as _age
  from {{ source('leads_staging', 'leads') }}

)

select
  lead_id,
  origin,
  campaign,
  country,
  company_size,
  consent,
  created_at
from history
where _age = 1
