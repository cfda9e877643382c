import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The compatibility suite's program around the Java clients. compat/README.md describes the requests. */
public final class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = System.out;

    private final String bootstrap;
    private final Admin admin;
    private final Groups groups;
    private final Map<String, Consumer<byte[], byte[]>> members = new HashMap<>();

    private Driver(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        this.groups = new Groups(admin);
    }

    public static void main(String[] args) throws Exception {
        Driver driver = new Driver(args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = JSON.readTree(line);
            ObjectNode answer;
            try {
                answer = driver.perform(request);
                answer.put("ok", true);
            } catch (Exception failure) {
                Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
                answer = JSON.createObjectNode();
                answer.put("ok", false);
                answer.put("code", code(cause));
                answer.put("message", cause.toString());
            }
            answer.set("id", request.get("id"));
            emit(answer);
        }
        // Members that were not closed must not keep the process.
        Runtime.getRuntime().halt(0);
    }

    private static short code(Throwable cause) {
        // The consumer has a class of its own for what it finds out of range.
        return cause instanceof OffsetOutOfRangeException
                ? Errors.OFFSET_OUT_OF_RANGE.code()
                : Errors.forException(cause).code();
    }

    private static synchronized void emit(ObjectNode answer) {
        OUT.println(answer);
        OUT.flush();
    }

    private ObjectNode perform(JsonNode request) throws Exception {
        return switch (request.get("op").asText()) {
            case "metadata" -> metadata();
            case "create_topic" -> createTopic(request);
            case "delete_topic" -> deleteTopic(request);
            case "describe_configs" -> describeConfigs(request);
            case "describe_cluster" -> describeCluster();
            case "offsets" -> offsets(request);
            case "produce" -> produce(request);
            case "consume" -> consume(request);
            case "join" -> join(request);
            case "poll" -> poll(request);
            case "commit" -> commit(request);
            case "committed" -> committed(request);
            case "close" -> close(request);
            case "list_groups" -> groups.list(request);
            case "describe_groups" -> groups.describe(request);
            case "delete_groups" -> groups.delete(request);
            case "group_offsets" -> groups.offsets(request);
            case "alter_group_offsets" -> groups.alterOffsets(request);
            case "delete_group_offsets" -> groups.deleteOffsets(request);
            case "remove_members" -> groups.removeMembers(request);
            default -> throw new IllegalArgumentException("no such operation");
        };
    }

    private ObjectNode metadata() throws Exception {
        ObjectNode answer = describeCluster();
        answer.set("brokers", answer.remove("nodes"));
        ObjectNode topics = answer.putObject("topics");
        Set<String> names = admin.listTopics().names().get();
        for (TopicDescription topic : admin.describeTopics(names).allTopicNames().get().values()) {
            ArrayNode partitions = topics.putArray(topic.name());
            topic.partitions().forEach(info -> {
                ObjectNode partition = partitions.addObject();
                partition.put("id", info.partition());
                partition.put("leader", info.leader() == null ? -1 : info.leader().id());
                ArrayNode replicas = partition.putArray("replicas");
                info.replicas().forEach(node -> replicas.add(node.id()));
                ArrayNode isr = partition.putArray("isr");
                info.isr().forEach(node -> isr.add(node.id()));
            });
        }
        return answer;
    }

    private ObjectNode createTopic(JsonNode request) throws Exception {
        Map<String, String> configs = new HashMap<>();
        request.get("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
        NewTopic topic = new NewTopic(
                request.get("topic").asText(),
                request.get("partitions").asInt(),
                (short) request.get("replication").asInt());
        admin.createTopics(List.of(topic.configs(configs))).all().get();
        return JSON.createObjectNode();
    }

    private ObjectNode deleteTopic(JsonNode request) throws Exception {
        admin.deleteTopics(List.of(request.get("topic").asText())).all().get();
        return JSON.createObjectNode();
    }

    private ObjectNode describeConfigs(JsonNode request) throws Exception {
        ConfigResource.Type type = request.get("resource").asText().equals("topic")
                ? ConfigResource.Type.TOPIC
                : ConfigResource.Type.BROKER;
        ConfigResource resource = new ConfigResource(type, request.get("name").asText());
        ObjectNode answer = JSON.createObjectNode();
        ObjectNode entries = answer.putObject("entries");
        admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()
                .forEach(entry -> entries.put(entry.name(), entry.value()));
        return answer;
    }

    private ObjectNode describeCluster() throws Exception {
        var seen = admin.describeCluster();
        ObjectNode answer = JSON.createObjectNode();
        answer.put("cluster_id", seen.clusterId().get());
        answer.put("controller", seen.controller().get().id());
        ArrayNode nodes = answer.putArray("nodes");
        for (Node node : seen.nodes().get()) {
            nodes.addArray().add(node.id()).add(node.host()).add(node.port());
        }
        return answer;
    }

    private ObjectNode offsets(JsonNode request) throws Exception {
        TopicPartition partition =
                new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
        JsonNode at = request.get("at");
        OffsetSpec spec = switch (at.asText()) {
            case "earliest" -> OffsetSpec.earliest();
            case "latest" -> OffsetSpec.latest();
            case "max_timestamp" -> OffsetSpec.maxTimestamp();
            default -> OffsetSpec.forTimestamp(at.asLong());
        };
        long offset = admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
        return JSON.createObjectNode().put("offset", offset);
    }

    private static byte[] bytes(JsonNode node) {
        return node == null || node.isNull() ? null : node.asText().getBytes(StandardCharsets.UTF_8);
    }

    private static List<ProducerRecord<byte[], byte[]>> recordsOf(JsonNode request) {
        String topic = request.get("topic").asText();
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        if (request.has("generate")) {
            JsonNode spec = request.get("generate");
            JsonNode partitions = spec.get("partitions");
            for (int i = 0; i < spec.get("count").asInt(); i++) {
                String value = spec.get("prefix").asText() + i;
                value += ".".repeat(Math.max(0, spec.get("size").asInt() - value.length()));
                records.add(new ProducerRecord<>(
                        topic,
                        partitions.get(i % partitions.size()).asInt(),
                        ("k" + i).getBytes(StandardCharsets.UTF_8),
                        value.getBytes(StandardCharsets.UTF_8)));
            }
            return records;
        }
        for (JsonNode r : request.get("records")) {
            List<Header> headers = new ArrayList<>();
            if (r.has("headers")) {
                r.get("headers").forEach(h -> headers.add(new RecordHeader(h.get(0).asText(), bytes(h.get(1)))));
            }
            records.add(new ProducerRecord<>(
                    topic,
                    r.has("partition") ? r.get("partition").asInt() : null,
                    r.has("timestamp") ? r.get("timestamp").asLong() : null,
                    bytes(r.get("key")),
                    bytes(r.get("value")),
                    headers));
        }
        return records;
    }

    private ObjectNode produce(JsonNode request) throws Exception {
        JsonNode config = request.get("config");
        Map<String, Object> settings = new HashMap<>(Map.of(
                "bootstrap.servers", bootstrap,
                "key.serializer", ByteArraySerializer.class,
                "value.serializer", ByteArraySerializer.class,
                "acks", config.path("acks").asText("all"),
                "compression.type", config.path("codec").asText("none"),
                "enable.idempotence", config.path("idempotent").asBoolean(false),
                "linger.ms", config.path("linger_ms").asInt(0),
                "max.request.size", config.path("max_request_bytes").asInt(1_048_576),
                "buffer.memory", 64 << 20,
                "delivery.timeout.ms", 80_000));
        if (config.has("batch_bytes")) {
            settings.put("batch.size", config.get("batch_bytes").asInt());
        }
        List<ProducerRecord<byte[], byte[]>> records = recordsOf(request);
        long[][] acks = new long[records.size()][];
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode errors = answer.putArray("errors");
        int every = request.path("progress_every").asInt(0);
        double rate = request.path("rate_per_s").asDouble(0);
        AtomicInteger count = new AtomicInteger();
        long started = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            for (int i = 0; i < acks.length; i++) {
                int index = i;
                producer.send(records.get(i), (sent, error) -> {
                    if (error != null) {
                        synchronized (errors) {
                            errors.addArray().add(index).add(Errors.forException(error).code());
                        }
                        return;
                    }
                    acks[index] = new long[] {sent.partition(), sent.hasOffset() ? sent.offset() : -1};
                    int done = count.incrementAndGet();
                    if (every > 0 && done % every == 0) {
                        ObjectNode event = JSON.createObjectNode();
                        event.set("id", request.get("id"));
                        emit(event.put("event", "acked").put("count", done));
                    }
                });
                while (rate > 0 && i > rate * (System.nanoTime() - started) / 1e9) {
                    Thread.sleep(5);
                }
            }
        }
        answer.set("acks", JSON.valueToTree(acks));
        return answer;
    }

    private Map<String, Object> consumerSettings(JsonNode config) {
        return new HashMap<>(Map.of(
                "bootstrap.servers", bootstrap,
                "key.deserializer", ByteArrayDeserializer.class,
                "value.deserializer", ByteArrayDeserializer.class,
                "enable.auto.commit", false,
                "auto.offset.reset", config.path("reset").asText("earliest"),
                "fetch.min.bytes", config.path("min_bytes").asInt(1),
                "fetch.max.wait.ms", config.path("wait_ms").asInt(500),
                "max.partition.fetch.bytes", config.path("partition_max_bytes").asInt(1_048_576),
                "fetch.max.bytes", config.path("max_bytes").asInt(52_428_800),
                "isolation.level", config.path("isolation").asText("read_uncommitted")));
    }

    private static String text(byte[] data) {
        return data == null ? null : new String(data, StandardCharsets.UTF_8);
    }

    private static String reported(byte[] data) throws Exception {
        if (data == null || data.length <= 128) {
            return text(data);
        }
        byte[] digest = MessageDigest.getInstance("MD5").digest(data);
        return "md5:" + HexFormat.of().formatHex(digest) + ":" + data.length;
    }

    private static void add(ArrayNode list, ConsumerRecord<byte[], byte[]> r) throws Exception {
        ArrayNode record = list.addArray();
        record.add(r.topic()).add(r.partition()).add(r.offset()).add(r.timestamp());
        record.add(text(r.key())).add(reported(r.value()));
        ArrayNode headers = record.addArray();
        for (Header header : r.headers()) {
            headers.addArray().add(header.key()).add(text(header.value()));
        }
    }

    private ObjectNode consume(JsonNode request) throws Exception {
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode records = answer.putArray("records");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(consumerSettings(request.get("config")))) {
            List<TopicPartition> all = new ArrayList<>();
            request.get("assign").forEach(a -> all.add(new TopicPartition(a.get(0).asText(), a.get(1).asInt())));
            consumer.assign(all);
            for (int i = 0; i < all.size(); i++) {
                JsonNode from = request.get("assign").get(i).get(2);
                switch (from.asText()) {
                    case "beginning" -> consumer.seekToBeginning(List.of(all.get(i)));
                    case "end" -> consumer.seekToEnd(List.of(all.get(i)));
                    default -> consumer.seek(all.get(i), from.asLong());
                }
            }
            int count = request.get("count").asInt();
            JsonNode late = request.get("produce_when_positioned");
            long deadline = System.nanoTime() + request.get("timeout_ms").asLong() * 1_000_000;
            long positioned = System.nanoTime() + 2_500_000_000L;
            while (records.size() < count && System.nanoTime() < deadline) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    add(records, r);
                }
                if (late != null && System.nanoTime() > positioned) {
                    ObjectNode order = JSON.createObjectNode();
                    order.put("topic", all.get(0).topic());
                    order.set("generate", late);
                    ((ObjectNode) late).putArray("partitions").add(late.get("partition"));
                    order.putObject("config");
                    produce(order);
                    late = null;
                }
            }
        }
        return answer;
    }

    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "org.apache.kafka.clients.consumer.RangeAssignor",
            "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
            "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private ObjectNode join(JsonNode request) {
        Map<String, Object> settings = consumerSettings(request);
        settings.put("group.id", request.get("group").asText());
        settings.put("session.timeout.ms", request.get("session_ms").asInt());
        settings.put("heartbeat.interval.ms", 1000);
        if (request.has("assignor")) {
            settings.put("partition.assignment.strategy", ASSIGNORS.get(request.get("assignor").asText()));
        }
        if (request.has("instance_id")) {
            settings.put("group.instance.id", request.get("instance_id").asText());
        }
        if (request.has("auto_commit_ms")) {
            settings.put("enable.auto.commit", true);
            settings.put("auto.commit.interval.ms", request.get("auto_commit_ms").asInt());
        }
        List<String> topics = new ArrayList<>();
        request.get("topics").forEach(topic -> topics.add(topic.asText()));
        Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings);
        consumer.subscribe(topics);
        members.put(request.get("member").asText(), consumer);
        return JSON.createObjectNode();
    }

    private ObjectNode poll(JsonNode request) throws Exception {
        Map<String, ObjectNode> got = new LinkedHashMap<>();
        for (JsonNode name : request.get("members")) {
            ObjectNode seen = JSON.createObjectNode();
            seen.putArray("records");
            got.put(name.asText(), seen);
        }
        long deadline = System.nanoTime() + request.get("ms").asLong() * 1_000_000;
        do {
            for (Map.Entry<String, ObjectNode> entry : got.entrySet()) {
                try {
                    for (var r : members.get(entry.getKey()).poll(Duration.ofMillis(50))) {
                        add((ArrayNode) entry.getValue().get("records"), r);
                    }
                } catch (org.apache.kafka.common.KafkaException failure) {
                    entry.getValue().put("error", Errors.forException(failure).code());
                }
            }
        } while (System.nanoTime() < deadline);
        ObjectNode answer = JSON.createObjectNode();
        ObjectNode list = answer.putObject("members");
        got.forEach((name, seen) -> {
            ArrayNode assignment = seen.putArray("assignment");
            members.get(name).assignment().forEach(tp -> assignment.addArray().add(tp.topic()).add(tp.partition()));
            list.set(name, seen);
        });
        return answer;
    }

    private ObjectNode commit(JsonNode request) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        request.get("offsets").forEach(o -> offsets.put(
                new TopicPartition(o.get(0).asText(), o.get(1).asInt()), new OffsetAndMetadata(o.get(2).asLong())));
        members.get(request.get("member").asText()).commitSync(offsets);
        return JSON.createObjectNode();
    }

    private ObjectNode committed(JsonNode request) {
        List<TopicPartition> all = new ArrayList<>();
        request.get("partitions").forEach(p -> all.add(new TopicPartition(p.get(0).asText(), p.get(1).asInt())));
        var found = members.get(request.get("member").asText()).committed(Set.copyOf(all));
        ObjectNode answer = JSON.createObjectNode();
        ArrayNode offsets = answer.putArray("offsets");
        all.forEach(tp -> offsets.add(Optional.ofNullable(found.get(tp)).map(OffsetAndMetadata::offset).orElse(null)));
        return answer;
    }

    private ObjectNode close(JsonNode request) {
        members.remove(request.get("member").asText()).close();
        return JSON.createObjectNode();
    }
}
