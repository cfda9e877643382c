"""The requests that look at groups and change them from outside."""

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)

STATES = {
    ConsumerGroupState.PREPARING_REBALANCING: "PreparingRebalance",
    ConsumerGroupState.COMPLETING_REBALANCING: "CompletingRebalance",
    ConsumerGroupState.STABLE: "Stable",
    ConsumerGroupState.EMPTY: "Empty",
    ConsumerGroupState.DEAD: "Dead",
}


def listed(admin, request):
    wanted = {state for state, name in STATES.items() if name in request.get("states", [])}
    found = admin.list_consumer_groups(states=wanted).result()
    for error in found.errors:
        raise error
    return {"groups": [[group.group_id, STATES.get(group.state)] for group in found.valid]}


def described(admin, request):
    groups = {}
    for name, future in admin.describe_consumer_groups(request["groups"]).items():
        try:
            found = future.result()
        except KafkaException as failure:
            groups[name] = {"error": failure.args[0].code()}
            continue
        groups[name] = {
            "state": STATES.get(found.state),
            "protocol": found.partition_assignor,
            "members": [member(each) for each in found.members],
        }
    return {"groups": groups}


def member(found):
    assigned = found.assignment.topic_partitions
    return {
        "id": found.member_id,
        "instance_id": found.group_instance_id,
        "client_id": found.client_id,
        "host": found.host,
        "assignment": [[tp.topic, tp.partition] for tp in assigned],
    }


def deleted(admin, request):
    futures = admin.delete_consumer_groups(request["groups"])
    return {"errors": {name: code(future) for name, future in futures.items()}}


def code(future):
    try:
        future.result()
    except KafkaException as failure:
        return failure.args[0].code()
    return 0


def offsets(admin, request):
    asked = ConsumerGroupTopicPartitions(request["group"])
    found = admin.list_consumer_group_offsets([asked])[request["group"]].result()
    known = [tp for tp in found.topic_partitions if tp.offset >= 0]
    return {"offsets": [[tp.topic, tp.partition, tp.offset] for tp in known]}


def altered(admin, request):
    group = request["group"]
    wanted = [TopicPartition(t, p, o) for t, p, o in request["offsets"]]
    futures = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
    try:
        done = futures[group].result().topic_partitions
    except KafkaException as failure:
        failed = failure.args[0].code()
        return {"errors": [[t, p, failed] for t, p, _ in request["offsets"]]}
    return {"errors": [[tp.topic, tp.partition, tp.error.code()] for tp in done if tp.error]}
