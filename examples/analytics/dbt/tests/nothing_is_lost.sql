-- Every event of every minute is in a day: dbt's test fails where this query has rows.
with minutes as (select sum(events) as events, sum(revenue) as revenue from {{ source('lake', 'category_minutes') }}),
days as (select sum(events) as events, sum(revenue) as revenue from {{ ref('category_days') }})
select * from minutes, days where minutes.events <> days.events or minutes.revenue <> days.revenue
