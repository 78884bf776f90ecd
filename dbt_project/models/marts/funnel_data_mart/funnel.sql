{% set currencies = ['EUR', 'USD', 'GBP'] %}

with

leads as (

  select * from {{ ref('stg_leads') }}

),

contracts as (

  select * from {{ ref('stg_contracts') }}

),

-- The first contract closes a lead; further ones add revenue but do not convert it again.
closings as (

  select
    lead_id,
    min(signed_at) as closed_at
  from contracts
  group by lead_id

),

leads_by_month as (

  select
    coalesce(leads.origin, 'unknown') as origin,
    {{ month_of('leads.created_at') }} as month,
    count(*) as leads,
    count(closings.closed_at) as converted_leads,
    avg({{ days_between('leads.created_at', 'closings.closed_at') }}) as days_to_close
  from leads
  left join closings on leads.lead_id = closings.lead_id
  group by 1, 2

),

-- Revenue counts where its lead came from. A contract without a known lead counts as 'unknown' in the month it was
-- signed, so that the mart's revenue is all revenue. Amounts of different currencies are never added up.
revenue_by_month as (

  select
    coalesce(leads.origin, 'unknown') as origin,
    {{ month_of('coalesce(leads.created_at, contracts.signed_at)') }} as month,
    count(*) as contracts,
    {%- for currency in currencies %}
    sum(case when contracts.currency = '{{ currency }}' then contracts.amount end) as revenue_{{ currency | lower }},
    {%- endfor %}
    sum(case when contracts.currency in ('{{ currencies | join("', '") }}') then 0 else 1 end) as other_currencies
  from contracts
  left join leads on contracts.lead_id = leads.lead_id
  group by 1, 2

),

final as (

  select
    coalesce(leads_by_month.origin, revenue_by_month.origin) as origin,
    coalesce(leads_by_month.month, revenue_by_month.month) as month,
    coalesce(leads_by_month.leads, 0) as leads,
    coalesce(leads_by_month.converted_leads, 0) as converted_leads,
    cast({{ ratio('leads_by_month.converted_leads', 'leads_by_month.leads') }} as decimal(5, 4)) as conversion_rate,
    cast(leads_by_month.days_to_close as decimal(9, 2)) as average_days_to_close,
    coalesce(revenue_by_month.contracts, 0) as contracts,
    {%- for currency in currencies %}
    cast(coalesce(revenue_by_month.revenue_{{ currency | lower }}, 0) as decimal(18, 2)) as revenue_{{ currency | lower }},
    {%- endfor %}
    cast(coalesce(revenue_by_month.other_currencies, 0) as bigint) as contracts_in_other_currencies
  from leads_by_month
  full outer join revenue_by_month
    on leads_by_month.origin = revenue_by_month.origin
    and leads_by_month.month = revenue_by_month.month

)

select * from final
