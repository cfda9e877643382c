"""The requests that look at groups and change them from outside."""

import kafka.errors
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove


def listed(admin, request):
    found = admin.list_groups(states_filter=request.get("states") or None)
    return {"groups": [[group["group_id"], group["group_state"]] for group in found]}


def described(admin, request):
    found = admin.describe_groups(request["groups"])
    return {"groups": {name: group(found[name]) for name in request["groups"]}}


def group(found):
    if found["error"] is not None:
        # It comes as text: "[Error 69] GroupIdNotFoundError: …".
        return {"error": int(found["error"].split("]")[0].removeprefix("[Error "))}
    return {
        "state": found["group_state"],
        "protocol": found["protocol_data"],
        "members": [member(each) for each in found["members"]],
    }


def member(found):
    assigned = found["member_assignment"]
    topics = assigned["assigned_partitions"] if assigned else []
    return {
        "id": found["member_id"],
        "instance_id": found["group_instance_id"],
        "client_id": found["client_id"],
        "host": found["client_host"],
        "assignment": [[t["topic"], p] for t in topics for p in t["partitions"]],
    }


def deleted(admin, request):
    # Each comes as the name of an error, or OK.
    results = admin.delete_groups(request["groups"])
    return {"errors": {group: errno(result) for group, result in results.items()}}


def errno(name):
    return 0 if name == "OK" else getattr(kafka.errors, name).errno


def offsets(admin, request):
    found = admin.list_group_offsets(request["group"])[request["group"]]
    return {"offsets": [[tp.topic, tp.partition, at.offset] for tp, at in found.items()]}


def failures(results):
    failed = {tp: error.errno for tp, error in results.items() if error.errno != 0}
    return {"errors": [[tp.topic, tp.partition, errno] for tp, errno in failed.items()]}


def altered(admin, request):
    wanted = {TopicPartition(t, p): OffsetAndMetadata(o, "", -1) for t, p, o in request["offsets"]}
    return failures(admin.alter_group_offsets(request["group"], wanted))


def offsets_deleted(admin, request):
    partitions = [TopicPartition(t, p) for t, p in request["partitions"]]
    return failures(admin.delete_group_offsets(request["group"], partitions))


def members_removed(admin, request):
    reason = "the compatibility suite removes it"
    members = [MemberToRemove(group_instance_id=i, reason=reason) for i in request["instance_ids"]]
    for error in admin.remove_group_members(request["group"], members).values():
        if error.errno != 0:
            raise error()
    return {}
