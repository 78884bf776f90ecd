with

sales as (

  select * from {{ ref('stg_sales') }}

),

final as (

  select
    coalesce(region, 'unknown') as region,
    {{ day_of('ordered_at') }} as day,
    count(*) as orders,
    cast(coalesce(sum(quantity), 0) as bigint) as quantity,
    cast(coalesce(sum(amount), 0) as decimal(18, 2)) as amount
  from sales
  group by 1, 2

)

select * from final
