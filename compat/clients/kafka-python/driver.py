"""The compatibility suite's program around kafka-python. compat/README.md describes the requests."""

import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import groups
from kafka import (
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    OffsetSpec,
    TopicPartition,
)
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError

BOOTSTRAP = sys.argv[1]
ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative-sticky": CooperativeStickyAssignor,
}
# After a restart of the broker a client is to be back at once.
BASE = {"bootstrap_servers": BOOTSTRAP, "reconnect_backoff_max_ms": 500}
ADMIN = KafkaAdminClient(**BASE)
MEMBERS = {}


def emit(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def text(data):
    return None if data is None else data.decode()


def reported(data):
    if data is not None and len(data) > 128:
        return f"md5:{hashlib.md5(data).hexdigest()}:{len(data)}"
    return text(data)


def record(r):
    headers = [[k, text(v)] for k, v in r.headers]
    return [r.topic, r.partition, r.offset, r.timestamp, text(r.key), reported(r.value), headers]


def generated(spec):
    for i in range(spec["count"]):
        value = f"{spec['prefix']}{i}".ljust(spec["size"], ".")
        partition = spec["partitions"][i % len(spec["partitions"])]
        yield {"partition": partition, "key": f"k{i}", "value": value}


def metadata(_request):
    topics = {
        topic["name"]: [
            {
                "id": p["partition_index"],
                "leader": p["leader_id"],
                "replicas": p["replica_nodes"],
                "isr": p["isr_nodes"],
            }
            for p in topic["partitions"]
        ]
        for topic in ADMIN.describe_topics()
        if topic["error_code"] == 0
    }
    seen = describe_cluster(None)
    return {**seen, "brokers": seen["nodes"], "topics": topics}


def create_topic(request):
    options = {
        "num_partitions": request["partitions"],
        "replication_factor": request["replication"],
        "configs": request["configs"],
    }
    ADMIN.create_topics({request["topic"]: options})
    return {}


def delete_topic(request):
    ADMIN.delete_topics([request["topic"]])
    return {}


def describe_configs(request):
    kind = request["resource"]
    resource = ConfigResource(ConfigResourceType[kind.upper()], request["name"])
    found = ADMIN.describe_configs([resource], config_filter="all")
    entries = found[kind][request["name"]]
    return {"entries": {name: entry["value"] for name, entry in entries.items()}}


def describe_cluster(_request):
    seen = ADMIN.describe_cluster()
    return {
        "cluster_id": seen["cluster_id"],
        "controller": seen["controller_id"],
        "nodes": [[b["broker_id"], b["host"], b["port"]] for b in seen["brokers"]],
    }


def offsets(request):
    partition = TopicPartition(request["topic"], request["partition"])
    at = request["at"]
    spec = {
        "earliest": OffsetSpec.EARLIEST,
        "latest": OffsetSpec.LATEST,
        "max_timestamp": OffsetSpec.MAX_TIMESTAMP,
    }.get(at, at)
    found = ADMIN.list_partition_offsets({partition: spec})[partition]
    return {"offset": None if found is None else found.offset}


def encoded(value):
    return None if value is None else value.encode()


def produce(request):
    config = request["config"]
    settings = {
        **BASE,
        "acks": {"0": 0, "1": 1, "all": "all"}[config.get("acks", "all")],
        "compression_type": {"none": None}.get(config.get("codec", "none"), config.get("codec")),
        "enable_idempotence": config.get("idempotent", False),
        "linger_ms": config.get("linger_ms", 0),
        "max_request_size": config.get("max_request_bytes", 1048576),
        "delivery_timeout_ms": 80000,
    }
    if "batch_bytes" in config:
        settings["batch_size"] = config["batch_bytes"]
    records = list(generated(request["generate"])) if "generate" in request else request["records"]
    acks = [None] * len(records)
    errors = []
    count = 0
    every = request.get("progress_every")
    rate = request.get("rate_per_s")

    def acked(index):
        def on_ack(sent):
            nonlocal count
            acks[index] = [sent.partition, sent.offset]
            count += 1
            if every and count % every == 0:
                emit({"id": request["id"], "event": "acked", "count": count})

        return on_ack

    def refused(index):
        return lambda error: errors.append([index, getattr(error, "errno", None)])

    producer = KafkaProducer(**settings)
    started = time.monotonic()
    for i, r in enumerate(records):
        future = producer.send(
            request["topic"],
            key=encoded(r.get("key")),
            value=encoded(r.get("value")),
            headers=[(k, encoded(v)) for k, v in r.get("headers") or []],
            partition=r.get("partition"),
            timestamp_ms=r.get("timestamp"),
        )
        future.add_callback(acked(i))
        future.add_errback(refused(i))
        while rate and i > rate * (time.monotonic() - started):
            time.sleep(0.005)
    producer.flush(timeout=80)
    producer.close(timeout=10)
    return {"acks": acks, "errors": errors}


def consumer(config, **more):
    return KafkaConsumer(
        **BASE,
        auto_offset_reset=config.get("reset", "earliest"),
        fetch_min_bytes=config.get("min_bytes", 1),
        fetch_max_wait_ms=config.get("wait_ms", 500),
        max_partition_fetch_bytes=config.get("partition_max_bytes", 1048576),
        fetch_max_bytes=config.get("max_bytes", 52428800),
        isolation_level=config.get("isolation", "read_uncommitted"),
        max_poll_records=5000,
        **more,
    )


def consume(request):
    reader = consumer(request["config"], enable_auto_commit=False)
    try:
        reader.assign([TopicPartition(t, p) for t, p, _ in request["assign"]])
        for t, p, start in request["assign"]:
            partition = TopicPartition(t, p)
            if start == "beginning":
                reader.seek_to_beginning(partition)
            elif start == "end":
                reader.seek_to_end(partition)
            else:
                reader.seek(partition, start)
        records = []
        deadline = time.monotonic() + request["timeout_ms"] / 1000
        late = request.get("produce_when_positioned")
        positioned = time.monotonic() + 2.5
        while len(records) < request["count"] and time.monotonic() < deadline:
            for batch in reader.poll(timeout_ms=200).values():
                records.extend(map(record, batch))
            if late and time.monotonic() > positioned:
                late["partitions"] = [late["partition"]]
                topic = request["assign"][0][0]
                produce({"topic": topic, "generate": late, "config": {}})
                late = None
        return {"records": records}
    finally:
        reader.close()


def join(request):
    more = {
        "group_id": request["group"],
        "enable_auto_commit": "auto_commit_ms" in request,
        "auto_commit_interval_ms": request.get("auto_commit_ms", 5000),
        "session_timeout_ms": request["session_ms"],
        "heartbeat_interval_ms": 1000,
    }
    if "assignor" in request:
        more["partition_assignment_strategy"] = [ASSIGNORS[request["assignor"]]]
    if "instance_id" in request:
        more["group_instance_id"] = request["instance_id"]
    member = consumer(request, **more)
    member.subscribe(request["topics"])
    MEMBERS[request["member"]] = member
    return {}


def poll_one(name, deadline):
    member = MEMBERS[name]
    seen = {"records": [], "error": None}
    while time.monotonic() < deadline:
        try:
            for batch in member.poll(timeout_ms=100).values():
                seen["records"].extend(map(record, batch))
        except KafkaError as failure:
            seen["error"] = failure.errno
    seen["assignment"] = [[tp.topic, tp.partition] for tp in member.assignment()]
    return seen


def poll(request):
    # Each member polls in a thread of its own, as in an application: what a member is answered to
    # JoinGroup while it does not poll is lost to it, and it joins once more.
    deadline = time.monotonic() + request["ms"] / 1000
    names = request["members"]
    with ThreadPoolExecutor(max_workers=len(names)) as threads:
        seen = threads.map(lambda name: poll_one(name, deadline), names)
    return {"members": dict(zip(names, seen))}


def commit(request):
    wanted = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for t, p, o in request["offsets"]}
    MEMBERS[request["member"]].commit(wanted)
    return {}


def committed(request):
    member = MEMBERS[request["member"]]
    return {"offsets": [member.committed(TopicPartition(t, p)) for t, p in request["partitions"]]}


def close(request):
    MEMBERS.pop(request["member"]).close()
    return {}


def list_groups(request):
    return groups.listed(ADMIN, request)


def describe_groups(request):
    return groups.described(ADMIN, request)


def delete_groups(request):
    return groups.deleted(ADMIN, request)


def group_offsets(request):
    return groups.offsets(ADMIN, request)


def alter_group_offsets(request):
    return groups.altered(ADMIN, request)


def delete_group_offsets(request):
    return groups.offsets_deleted(ADMIN, request)


def remove_members(request):
    return groups.members_removed(ADMIN, request)


OPERATIONS = {
    operation.__name__: operation
    for operation in (
        metadata,
        create_topic,
        delete_topic,
        describe_configs,
        describe_cluster,
        offsets,
        produce,
        consume,
        join,
        poll,
        commit,
        committed,
        close,
        list_groups,
        describe_groups,
        delete_groups,
        group_offsets,
        alter_group_offsets,
        delete_group_offsets,
        remove_members,
    )
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        emit({**OPERATIONS[request["op"]](request), "id": request["id"], "ok": True})
    except KafkaError as failure:
        code = getattr(failure, "errno", None)
        emit({"id": request["id"], "ok": False, "code": code, "message": repr(failure)})
    except Exception as failure:  # any other answer is worth more to the runner than a dead program
        emit({"id": request["id"], "ok": False, "code": None, "message": repr(failure)})
