import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;

/** The requests that look at groups and change them from outside. */
final class Groups {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Admin admin;

    Groups(Admin admin) {
        this.admin = admin;
    }

    ObjectNode list(JsonNode request) throws Exception {
        Set<GroupState> states = new HashSet<>();
        request.path("states").forEach(state -> states.add(GroupState.parse(state.asText())));
        ListGroupsOptions options = ListGroupsOptions.forConsumerGroups().inGroupStates(states);
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode groups = answer.putArray("groups");
        for (GroupListing group : admin.listGroups(options).all().get()) {
            groups.addArray().add(group.groupId()).add(group.groupState().map(GroupState::toString).orElse(null));
        }
        return answer;
    }

    ObjectNode describe(JsonNode request) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        ObjectNode groups = answer.putObject("groups");
        var described = admin.describeConsumerGroups(texts(request.get("groups"))).describedGroups();
        for (Map.Entry<String, KafkaFuture<ConsumerGroupDescription>> entry : described.entrySet()) {
            ObjectNode group = groups.putObject(entry.getKey());
            try {
                ConsumerGroupDescription found = entry.getValue().get();
                group.put("state", found.groupState().toString());
                group.put("protocol", found.partitionAssignor());
                ArrayNode members = group.putArray("members");
                found.members().forEach(member -> describe(members.addObject(), member));
            } catch (ExecutionException failure) {
                group.put("error", Errors.forException(failure.getCause()).code());
            }
        }
        return answer;
    }

    private static void describe(ObjectNode into, MemberDescription member) {
        into.put("id", member.consumerId());
        into.put("instance_id", member.groupInstanceId().orElse(null));
        into.put("client_id", member.clientId());
        into.put("host", member.host());
        ArrayNode assignment = into.putArray("assignment");
        member.assignment().topicPartitions().forEach(tp -> assignment.addArray().add(tp.topic()).add(tp.partition()));
    }

    ObjectNode delete(JsonNode request) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        ObjectNode errors = answer.putObject("errors");
        var deleted = admin.deleteConsumerGroups(texts(request.get("groups"))).deletedGroups();
        for (Map.Entry<String, KafkaFuture<Void>> entry : deleted.entrySet()) {
            errors.put(entry.getKey(), code(entry.getValue()));
        }
        return answer;
    }

    ObjectNode offsets(JsonNode request) throws Exception {
        var found = admin.listConsumerGroupOffsets(request.get("group").asText());
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode offsets = answer.putArray("offsets");
        found.partitionsToOffsetAndMetadata().get().forEach((partition, offset) ->
                offsets.addArray().add(partition.topic()).add(partition.partition()).add(offset.offset()));
        return answer;
    }

    ObjectNode alterOffsets(JsonNode request) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        request.get("offsets").forEach(o -> offsets.put(partition(o), new OffsetAndMetadata(o.get(2).asLong())));
        var altered = admin.alterConsumerGroupOffsets(request.get("group").asText(), offsets);
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode errors = answer.putArray("errors");
        for (TopicPartition partition : offsets.keySet()) {
            report(errors, partition, altered.partitionResult(partition));
        }
        return answer;
    }

    ObjectNode deleteOffsets(JsonNode request) throws Exception {
        Set<TopicPartition> partitions = new HashSet<>();
        request.get("partitions").forEach(p -> partitions.add(partition(p)));
        var deleted = admin.deleteConsumerGroupOffsets(request.get("group").asText(), partitions);
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode errors = answer.putArray("errors");
        for (TopicPartition partition : partitions) {
            report(errors, partition, deleted.partitionResult(partition));
        }
        return answer;
    }

    ObjectNode removeMembers(JsonNode request) throws Exception {
        Set<MemberToRemove> members = new HashSet<>();
        request.get("instance_ids").forEach(id -> members.add(new MemberToRemove(id.asText())));
        var options = new RemoveMembersFromConsumerGroupOptions(members);
        options.reason("the compatibility suite removes it");
        admin.removeMembersFromConsumerGroup(request.get("group").asText(), options).all().get();
        return JSON.createObjectNode();
    }

    private static void report(ArrayNode errors, TopicPartition partition, KafkaFuture<Void> result) throws Exception {
        short code = code(result);
        if (code != Errors.NONE.code()) {
            errors.addArray().add(partition.topic()).add(partition.partition()).add(code);
        }
    }

    private static short code(KafkaFuture<Void> result) throws Exception {
        try {
            result.get();
            return Errors.NONE.code();
        } catch (ExecutionException failure) {
            return Errors.forException(failure.getCause()).code();
        }
    }

    private static TopicPartition partition(JsonNode pair) {
        return new TopicPartition(pair.get(0).asText(), pair.get(1).asInt());
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(text -> texts.add(text.asText()));
        return texts;
    }
}
