import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.share.ShareCoordinatorRecordSerde;
import org.apache.kafka.coordinator.transaction.TransactionCoordinatorRecordSerde;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

/** Keys and values as they lie in the internal topics and in the metadata log: the message behind its type and version. */
final class Framed {
    static void writeAll(List<Path> jars, Path directory) throws Exception {
        List<Spec> specs = Spec.readAll(jars);
        int coordinator = 0;
        StringBuilder out = new StringBuilder();
        for (Spec key : specs) {
            if (!key.kind.equals("coordinator-key")) {
                continue;
            }
            String topic = topic(key);
            for (Spec value : specs) {
                if (!value.kind.equals("coordinator-value") || value.apiKey != key.apiKey || !topic(value).equals(topic)) {
                    continue;
                }
                for (int version = value.versions.lowest(); version <= value.versions.highest(); version++) {
                    ApiMessage keyMessage = full(key, 0);
                    CoordinatorRecord record = CoordinatorRecord.record(
                        keyMessage, new ApiMessageAndVersion(full(value, version), (short) version));
                    CoordinatorRecordSerde serde = serde(topic);
                    byte[] keyBytes = serde.serializeKey(record);
                    byte[] valueBytes = serde.serializeValue(record);
                    if (!serde.deserialize(ByteBuffer.wrap(keyBytes), ByteBuffer.wrap(valueBytes)).equals(record)) {
                        throw new IllegalStateException(value.name + " v" + version + " is not read back as it was");
                    }
                    out.append(topic).append(' ').append(key.apiKey).append(' ').append(version).append(' ')
                        .append(key.name).append(' ').append(json(key, keyMessage, 0)).append(' ')
                        .append(value.name).append(' ').append(json(value, record.value().message(), version)).append('\n')
                        .append(HexFormat.of().formatHex(keyBytes)).append(' ')
                        .append(HexFormat.of().formatHex(valueBytes)).append('\n');
                    coordinator++;
                }
            }
        }
        Files.writeString(directory.resolve("coordinator-records.txt"), out);

        int metadata = 0;
        out.setLength(0);
        for (Spec spec : specs) {
            if (!spec.kind.equals("metadata") || spec.apiKey < 0 || !spec.className.startsWith("org.apache.kafka.common.metadata.")) {
                continue;
            }
            for (int version = spec.versions.lowest(); version <= spec.versions.highest(); version++) {
                ApiMessageAndVersion message = new ApiMessageAndVersion(full(spec, version), (short) version);
                ObjectSerializationCache cache = new ObjectSerializationCache();
                ByteBuffer buffer = ByteBuffer.allocate(MetadataRecordSerde.INSTANCE.recordSize(message, cache));
                MetadataRecordSerde.INSTANCE.write(message, cache, new ByteBufferAccessor(buffer));
                out.append(spec.apiKey).append(' ').append(version).append(' ').append(spec.name).append(' ')
                    .append(json(spec, message.message(), version)).append('\n')
                    .append(HexFormat.of().formatHex(buffer.array())).append('\n');
                metadata++;
            }
        }
        Files.writeString(directory.resolve("metadata-records.txt"), out);
        System.out.printf("%d coordinator records, %d metadata records%n", coordinator, metadata);
    }

    private static String topic(Spec spec) {
        return switch (spec.className.split("\\.")[4]) {
            case "group" -> "__consumer_offsets";
            case "transaction" -> "__transaction_state";
            case "share" -> "__share_group_state";
            default -> throw new IllegalStateException(spec.className);
        };
    }

    private static CoordinatorRecordSerde serde(String topic) {
        return switch (topic) {
            case "__consumer_offsets" -> new GroupCoordinatorRecordSerde();
            case "__transaction_state" -> new TransactionCoordinatorRecordSerde();
            default -> new ShareCoordinatorRecordSerde();
        };
    }

    private static ApiMessage full(Spec spec, int version) throws Exception {
        ObjectNode values = new Values(version, Values.Variant.FULL).struct(spec.fields, spec.name);
        return (ApiMessage) Class.forName(spec.className + "JsonConverter")
            .getMethod("read", JsonNode.class, short.class).invoke(null, values, (short) version);
    }

    private static String json(Spec spec, ApiMessage message, int version) throws Exception {
        return Class.forName(spec.className + "JsonConverter")
            .getMethod("write", Class.forName(spec.className), short.class).invoke(null, message, (short) version).toString();
    }
}
