-- What a category was looked at and bought each day, and how much of the looking ended in buying.
select
    event_date as day,
    category,
    sum(events) as events,
    sum(views) as views,
    sum(carts) as carts,
    sum(purchases) as purchases,
    sum(revenue) as revenue,
    cast(sum(purchases) as double) / nullif(sum(views), 0) as purchases_per_view
from {{ source('lake', 'category_minutes') }}
group by event_date, category
