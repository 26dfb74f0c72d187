-- The same files as a table of Athena. Partitions are computed, so no crawler is needed.
CREATE EXTERNAL TABLE lake.category_minutes (
    minute    timestamp,
    category  string,
    events    bigint,
    views     bigint,
    carts     bigint,
    purchases bigint,
    revenue   decimal(18, 2)
)
PARTITIONED BY (event_date date)
STORED AS PARQUET
LOCATION 's3://BUCKET/lake/category_minutes/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.event_date.type' = 'date',
    'projection.event_date.format' = 'yyyy-MM-dd',
    'projection.event_date.range' = '2024-01-01,NOW'
);
