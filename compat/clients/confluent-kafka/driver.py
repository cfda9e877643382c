"""The compatibility suite's program around confluent-kafka. compat/README.md describes the requests."""

import hashlib
import json
import sys
import time

import groups
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

BOOTSTRAP = sys.argv[1]
BASE = {"bootstrap.servers": BOOTSTRAP, "log_level": 3, "socket.timeout.ms": 30000}
ADMIN = AdminClient(BASE)
MEMBERS = {}


def emit(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def reported(data):
    if data is None:
        return None
    if len(data) > 128:
        return f"md5:{hashlib.md5(data).hexdigest()}:{len(data)}"
    return data.decode()


def record(message):
    headers = [[k, v if v is None else v.decode()] for k, v in message.headers() or []]
    key = message.key()
    # A header's value is never long enough to be worth a digest.
    return [
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        None if key is None else key.decode(),
        reported(message.value()),
        headers,
    ]


def generated(spec):
    for i in range(spec["count"]):
        value = f"{spec['prefix']}{i}".ljust(spec["size"], ".")
        partition = spec["partitions"][i % len(spec["partitions"])]
        yield {"partition": partition, "key": f"k{i}", "value": value}


def metadata(_request):
    seen = ADMIN.list_topics(timeout=30)
    topics = {
        name: [
            {"id": p.id, "leader": p.leader, "replicas": p.replicas, "isr": p.isrs}
            for p in topic.partitions.values()
        ]
        for name, topic in seen.topics.items()
        if topic.error is None
    }
    return {
        "cluster_id": seen.cluster_id,
        "controller": seen.controller_id,
        "brokers": [[b.id, b.host, b.port] for b in seen.brokers.values()],
        "topics": topics,
    }


def create_topic(request):
    topic = NewTopic(
        request["topic"],
        num_partitions=request["partitions"],
        replication_factor=request["replication"],
        config=request["configs"],
    )
    ADMIN.create_topics([topic])[request["topic"]].result()
    return {}


def delete_topic(request):
    ADMIN.delete_topics([request["topic"]])[request["topic"]].result()
    return {}


def describe_configs(request):
    kind = ResourceType.TOPIC if request["resource"] == "topic" else ResourceType.BROKER
    resource = ConfigResource(kind, request["name"])
    entries = ADMIN.describe_configs([resource])[resource].result()
    return {"entries": {name: entry.value for name, entry in entries.items()}}


def describe_cluster(_request):
    seen = ADMIN.describe_cluster().result()
    return {
        "cluster_id": seen.cluster_id,
        "controller": seen.controller.id,
        "nodes": [[n.id, n.host, n.port] for n in seen.nodes],
    }


def offsets(request):
    partition = TopicPartition(request["topic"], request["partition"])
    at = request["at"]
    spec = {
        "earliest": OffsetSpec.earliest(),
        "latest": OffsetSpec.latest(),
        "max_timestamp": OffsetSpec.max_timestamp(),
    }.get(at) or OffsetSpec.for_timestamp(at)
    for _ in range(10):
        try:
            return {"offset": ADMIN.list_offsets({partition: spec})[partition].result().offset}
        except KafkaException as failure:
            # The admin client asks with the leader epoch that it saw last. When the leader was
            # elected anew it forgets the leader, and finds it again a moment later.
            if failure.args[0].code() not in (KafkaError.FENCED_LEADER_EPOCH, KafkaError._NOENT):
                raise
            ADMIN.list_topics(timeout=30)
            time.sleep(0.2)
    raise TimeoutError("no leader is found")


def produce(request):
    config = request["config"]
    settings = {
        **BASE,
        "acks": config.get("acks", "all"),
        "compression.type": config.get("codec", "none"),
        "enable.idempotence": config.get("idempotent", False),
        "linger.ms": config.get("linger_ms", 0),
        "message.max.bytes": config.get("max_request_bytes", 1000000),
        "message.timeout.ms": 80000,
    }
    if "batch_bytes" in config:
        settings["batch.size"] = config["batch_bytes"]
    producer = Producer(settings)
    if "generate" in request:
        records = list(generated(request["generate"]))
    else:
        records = request["records"]
    acks = [None] * len(records)
    errors = []
    count = 0
    every = request.get("progress_every")

    def delivered(index):
        def on_delivery(error, message):
            nonlocal count
            if error is not None:
                errors.append([index, error.code()])
                return
            offset = message.offset()  # none with acks=0
            acks[index] = [message.partition(), -1 if offset is None else offset]
            count += 1
            if every and count % every == 0:
                emit({"id": request["id"], "event": "acked", "count": count})

        return on_delivery

    rate = request.get("rate_per_s")
    started = time.monotonic()
    for i, r in enumerate(records):
        extra = {"timestamp": r["timestamp"]} if "timestamp" in r else {}
        while True:
            try:
                producer.produce(
                    request["topic"],
                    key=r.get("key"),
                    value=r.get("value"),
                    headers=[(k, v) for k, v in r.get("headers") or []],
                    partition=r.get("partition", -1),
                    on_delivery=delivered(i),
                    **extra,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        while rate and i > rate * (time.monotonic() - started):
            producer.poll(0.01)
    producer.flush(80)
    return {"acks": acks, "errors": errors}


def consumer_settings(config, group):
    return {
        **BASE,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": {"none": "error"}.get(config.get("reset"), config.get("reset", "earliest")),
        "fetch.min.bytes": config.get("min_bytes", 1),
        "fetch.wait.max.ms": config.get("wait_ms", 500),
        "max.partition.fetch.bytes": config.get("partition_max_bytes", 1048576),
        "fetch.max.bytes": config.get("max_bytes", 52428800),
        "message.max.bytes": min(1000000, config.get("max_bytes", 1000000)),
        "isolation.level": config.get("isolation", "read_uncommitted"),
    }


# What librdkafka tells about connections that it makes again by itself.
CONNECTS_AGAIN = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)


def check(message):
    """Whether this is a record. Raises the error that it stands for if a client cannot go on by itself."""
    error = message.error()
    if error is not None and error.code() in CONNECTS_AGAIN:
        return False
    if error is not None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET and "out of range" in error.str():
            error = KafkaError(KafkaError.OFFSET_OUT_OF_RANGE, error.str())
        raise KafkaException(error)
    return True


def consume(request):
    consumer = Consumer(consumer_settings(request["config"], "unused"))
    try:
        start = {"beginning": OFFSET_BEGINNING, "end": OFFSET_END}
        consumer.assign([TopicPartition(t, p, start.get(o, o)) for t, p, o in request["assign"]])
        records = []
        deadline = time.monotonic() + request["timeout_ms"] / 1000
        late = request.get("produce_when_positioned")
        positioned = time.monotonic() + 2.5
        while len(records) < request["count"] and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and check(message):
                records.append(record(message))
            if late and time.monotonic() > positioned:
                late["partitions"] = [late["partition"]]
                topic = request["assign"][0][0]
                produce({"topic": topic, "generate": late, "config": {}})
                late = None
        return {"records": records}
    finally:
        consumer.close()


def join(request):
    settings = consumer_settings(request, request["group"])
    settings["session.timeout.ms"] = request["session_ms"]
    settings["heartbeat.interval.ms"] = 1000
    if "assignor" in request:
        settings["partition.assignment.strategy"] = request["assignor"]
    if "instance_id" in request:
        settings["group.instance.id"] = request["instance_id"]
    if "auto_commit_ms" in request:
        settings["enable.auto.commit"] = True
        settings["auto.commit.interval.ms"] = request["auto_commit_ms"]
    consumer = Consumer(settings)
    consumer.subscribe(request["topics"])
    MEMBERS[request["member"]] = consumer
    return {}


def poll(request):
    got = {name: {"records": [], "error": None} for name in request["members"]}
    deadline = time.monotonic() + request["ms"] / 1000
    while True:
        for name, seen in got.items():
            for message in MEMBERS[name].consume(500, 0.02):
                try:
                    if check(message):
                        seen["records"].append(record(message))
                except KafkaException as failure:
                    error = failure.args[0]
                    # librdkafka wraps what ended a member in its own fatal error.
                    if error.code() == KafkaError._FATAL and "fenced" in error.str():
                        seen["error"] = KafkaError.FENCED_INSTANCE_ID
                    elif error.fatal() or not error.retriable():
                        seen["error"] = error.code()
        if time.monotonic() > deadline:
            break
    for name, seen in got.items():
        try:
            seen["assignment"] = [[tp.topic, tp.partition] for tp in MEMBERS[name].assignment()]
        except KafkaException:
            seen["assignment"] = []
    return {"members": got}


def commit(request):
    offsets = [TopicPartition(t, p, o) for t, p, o in request["offsets"]]
    for done in MEMBERS[request["member"]].commit(offsets=offsets, asynchronous=False):
        if done.error is not None:
            raise KafkaException(done.error)
    return {}


def committed(request):
    partitions = [TopicPartition(t, p) for t, p in request["partitions"]]
    found = MEMBERS[request["member"]].committed(partitions, timeout=30)
    return {"offsets": [tp.offset if tp.offset >= 0 else None for tp in found]}


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
    )
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        emit({**OPERATIONS[request["op"]](request), "id": request["id"], "ok": True})
    except KafkaException as failure:
        error = failure.args[0]
        emit({"id": request["id"], "ok": False, "code": error.code(), "message": error.str()})
    except Exception as failure:  # any other answer is worth more to the runner than a dead program
        emit({"id": request["id"], "ok": False, "code": None, "message": repr(failure)})
