"""Aggregates the enriched clickstream by minute and category, and writes Parquet partitioned by date.

The records are Avro in Confluent's framing: a zero byte, the schema's id in four bytes, the body. Every registered version of the
schema is read with its own writer's schema and resolved to the newest; so a schema may evolve while this job runs on.

    spark-submit minutes.py --out s3a://bucket/category_minutes --checkpoint s3a://bucket/checkpoints/category_minutes
"""

import argparse
import json
import os
import urllib.error
import urllib.parse
import urllib.request

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro


def versions(registry: str, subject: str) -> list[tuple[int, str]]:
    """Id and text of every version of a subject, oldest first."""

    def get(path: str):
        try:
            with urllib.request.urlopen(f"{registry}{path}", timeout=30) as answer:
                return json.load(answer)
        except urllib.error.URLError as error:
            raise SystemExit(f"{registry}{path}: {error}; `pointsman apply` registers the subject") from error

    path = f"/subjects/{urllib.parse.quote(subject, safe='')}/versions"
    found = [get(f"{path}/{number}") for number in get(path)]
    return [(version["id"], version["schema"]) for version in found]


def decoded(value: Column, known: list[tuple[int, str]]) -> Column:
    """The record in a value, as the newest of the known schemas has it. What cannot be read stops the job: nothing is dropped."""
    newest = known[-1][1]
    schema_id = F.conv(F.hex(F.substring(value, 2, 4)), 16, 10).cast("int")
    framed = (F.length(value) > 5) & (F.hex(F.substring(value, 1, 1)) == "00")
    unknown = F.concat(F.lit("no known schema id in a record: "), F.hex(F.substring(value, 1, 5)), F.lit("; start this job again"))
    record = F.raise_error(unknown)
    for number, schema in known:
        body = from_avro(F.expr("substring(value, 6)"), schema, {"mode": "FAILFAST", "avroSchema": newest})
        record = F.when(framed & (schema_id == number), body).otherwise(record)
    return record


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--topic", default="ecommerce_events_enriched")
    arguments.add_argument("--out", required=True, help="folder of the Parquet files")
    arguments.add_argument("--checkpoint", required=True, help="folder of the job's positions and open minutes")
    arguments.add_argument("--late", default="10 minutes", help="how late an event may be")
    arguments.add_argument("--every", default="1 minute", help="how often files are written")
    arguments.add_argument("--until-caught-up", action="store_true", help="end when the topic has been read")
    args = arguments.parse_args()
    kafka = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    registry = os.environ.get("SCHEMA_REGISTRY_URL", "http://localhost:8081")

    # Dates and minutes are UTC's, whatever this machine thinks.
    spark = SparkSession.builder.appName("category-minutes").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", kafka)
        .option("subscribe", args.topic)
        .option("startingOffsets", "earliest")
        .option("kafka.isolation.level", "read_committed")  # Pointsman writes in transactions
        .load()
    )
    events = records.select(decoded(F.col("value"), versions(registry, f"{args.topic}-value")).alias("event")).select("event.*")
    purchase = F.col("event_type") == "purchase"
    minutes = (
        events.withWatermark("occurred_at", args.late)
        .groupBy(
            F.window("occurred_at", "1 minute").alias("minute"),
            F.coalesce(F.split("category_code", r"\.")[0], F.lit("unknown")).alias("category"),
        )
        .agg(
            F.count("*").alias("events"),
            F.count(F.when(F.col("event_type") == "view", 1)).alias("views"),
            F.count(F.when(F.col("event_type") == "cart", 1)).alias("carts"),
            F.count(F.when(purchase, 1)).alias("purchases"),
            F.sum("revenue").cast("decimal(18,2)").alias("revenue"),
        )
        .select(
            F.col("minute.start").alias("minute"),
            *["category", "events", "views", "carts", "purchases", "revenue"],
            F.to_date("minute.start").alias("event_date"),
        )
    )
    writer = (
        minutes.writeStream.format("parquet")
        .outputMode("append")  # a minute is written once, when no more of its events may come
        .partitionBy("event_date")
        .option("path", args.out)
        .option("checkpointLocation", args.checkpoint)
    )
    trigger = {"availableNow": True} if args.until_caught_up else {"processingTime": args.every}
    writer.trigger(**trigger).start().awaitTermination()


if __name__ == "__main__":
    main()
