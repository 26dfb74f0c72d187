"""Confluent's own Python client against a schema registry: serialisers, look-ups, compatibility, deletion.

    pip install 'confluent-kafka[avro,schemaregistry]'
    python tests/python/registry_client.py http://127.0.0.1:8081

Expects an empty registry; ends with 0 and the client's version, or with the first assertion that does not hold.
"""

import json
import struct
import sys
from decimal import Decimal
from datetime import datetime, timezone

import confluent_kafka
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext


def record(*fields):
    return json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": list(fields)})


ID = {"name": "id", "type": "long"}
PRICE = {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}}
AT = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
V1 = record(ID, PRICE, AT)
V2 = record(ID, PRICE, AT, NOTE)
BREAKING = record(ID, PRICE, AT, {"name": "must", "type": "string"})


def refused(call, status, code):
    try:
        answer = call()
    except SchemaRegistryError as e:
        assert (e.http_status_code, e.error_code) == (status, code), e
        return
    raise AssertionError(f"expected {code}, got {answer}")


def serialisers(client):
    """What one producer writes, another consumer reads, also with a newer schema."""
    context = SerializationContext("orders", MessageField.VALUE)
    order = {"id": 7, "price": Decimal("12.50"), "at": datetime(2024, 6, 30, 20, 40, 35, tzinfo=timezone.utc)}
    payload = AvroSerializer(client, V1)(order, context)
    magic, schema_id = struct.unpack(">bI", payload[:5])
    assert magic == 0 and client.get_schema(schema_id).schema_type == "AVRO"
    assert AvroDeserializer(client)(payload, context) == order
    assert AvroDeserializer(client, V2)(payload, context) == {**order, "note": None}
    newer = AvroSerializer(client, V2, conf={"normalize.schemas": True})({**order, "note": "x"}, context)
    assert struct.unpack(">bI", newer[:5])[1] == schema_id + 1
    latest = AvroSerializer(client, conf={"auto.register.schemas": False, "use.latest.version": True})
    assert latest({**order, "note": "x"}, context) == newer
    assert client.get_versions("orders-value") == [1, 2]
    registered = client.lookup_schema("orders-value", Schema(V1, "AVRO"))
    assert (registered.schema_id, registered.version) == (schema_id, 1)
    assert client.get_latest_version("orders-value").version == 2
    assert "orders-value" in client.get_subjects()


def levels(client):
    assert client.get_compatibility() == "BACKWARD"
    assert client.test_compatibility("orders-value", Schema(V1, "AVRO"))
    assert not client.test_compatibility("orders-value", Schema(BREAKING, "AVRO"))
    refused(lambda: client.register_schema("orders-value", Schema(BREAKING, "AVRO")), 409, 409)
    client.set_compatibility("orders-value", "FORWARD")
    assert client.get_compatibility("orders-value") == "FORWARD"
    client.register_schema("orders-value", Schema(BREAKING, "AVRO"))
    refused(lambda: client.set_compatibility("orders-value", "SOMETIMES"), 422, 42203)
    refused(lambda: client.get_compatibility("other"), 404, 40408)


def references(client):
    city = json.dumps({"type": "record", "name": "City", "namespace": "geo", "fields": [{"name": "name", "type": "string"}]})
    home = json.dumps({"type": "record", "name": "Home", "namespace": "geo", "fields": [{"name": "city", "type": "geo.City"}]})
    client.register_schema("city", Schema(city, "AVRO"))
    schema = Schema(home, "AVRO", [SchemaReference("geo.City", "city", 1)])
    context = SerializationContext("homes", MessageField.VALUE)
    payload = AvroSerializer(client, schema)({"city": {"name": "Bern"}}, context)
    assert AvroDeserializer(client)(payload, context) == {"city": {"name": "Bern"}}
    refused(lambda: client.delete_subject("city"), 422, 42206)


def deletion(client):
    refused(lambda: client.get_versions("none"), 404, 40401)
    refused(lambda: client.get_version("orders-value", 99), 404, 40402)
    refused(lambda: client.get_schema(4711), 404, 40403)
    refused(lambda: client.register_schema("bad", Schema("{}", "AVRO")), 422, 42201)
    assert client.delete_version("orders-value", 3) == 3
    assert client.delete_subject("orders-value") == [1, 2]
    assert client.delete_subject("orders-value", permanent=True) == [1, 2, 3]
    assert "orders-value" not in client.get_subjects()


def main(url):
    client = SchemaRegistryClient({"url": url})
    assert client.get_subjects() == [], "the registry is not empty"
    for part in (serialisers, levels, references, deletion):
        part(client)
    print(f"confluent-kafka {confluent_kafka.__version__}: all well")


if __name__ == "__main__":
    main(sys.argv[1])
