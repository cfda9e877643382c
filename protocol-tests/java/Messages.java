import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.RawTaggedField;

/** Writes one file of vectors for every generated message; see ../vectors/README.md for the format. */
final class Messages {
    private final Spec spec;
    private final Class<?> type;
    private final Class<?> converter;
    /** version and bytes already written, so that variants which come out alike are kept once. */
    private final Map<String, Values.Variant> seen = new LinkedHashMap<>();
    private final StringBuilder out = new StringBuilder();

    private Messages(Spec spec) throws ClassNotFoundException {
        this.spec = spec;
        this.type = Class.forName(spec.className);
        this.converter = Class.forName(spec.className + "JsonConverter");
    }

    static void writeAll(List<Path> jars, Path directory) throws Exception {
        writeAll(Spec.readAll(jars), directory);
    }

    static void writeAll(Iterable<Spec> specs, Path directory) throws Exception {
        int schemas = 0;
        int vectors = 0;
        int versions = 0;
        for (Spec spec : specs) {
            Messages messages = new Messages(spec);
            schemas++;
            vectors += messages.write(directory);
            versions += spec.versions.highest() - spec.versions.lowest() + 1;
        }
        System.out.printf("%d schemas, %d versions, %d vectors%n", schemas, versions, vectors);
    }

    private int write(Path directory) throws Exception {
        int count = 0;
        int flexibleFrom = spec.flexible == Spec.Versions.NONE ? -1 : Math.max(spec.flexible.lowest(), spec.versions.lowest());
        if (flexibleFrom > spec.versions.highest()) {
            flexibleFrom = -1;
        }
        out.append("message ").append(spec.name).append(" kind=").append(spec.kind)
            .append(" key=").append(spec.apiKey < 0 ? "none" : spec.apiKey)
            .append(" versions=").append(spec.versions.lowest()).append('-').append(spec.versions.highest())
            .append(" flexible=").append(flexibleFrom < 0 ? "none" : flexibleFrom + "+").append('\n');
        for (Values.Variant variant : Values.Variant.values()) {
            String last = "";
            for (int version = spec.versions.lowest(); version <= spec.versions.highest(); version++) {
                boolean bound = version == spec.versions.lowest() || version == spec.versions.highest() || version == flexibleFrom;
                if (variant == Values.Variant.EXTREME && !bound) {
                    continue; // the same primitives as in the neighbours, and many bytes
                }
                Vector vector = vector(version, variant);
                if (seen.putIfAbsent(version + ":" + vector.hex, variant) != null) {
                    continue;
                }
                if (!vector.json.equals(last)) {
                    out.append(variant.name().toLowerCase()).append(' ').append(vector.json).append('\n');
                    last = vector.json;
                }
                out.append(version).append(' ').append(vector.hex).append('\n');
                count++;
            }
        }
        if (flexibleFrom >= 0) {
            count += writeUnknownTag();
        }
        Files.writeString(directory.resolve(spec.name + ".txt"), out);
        return count;
    }

    private record Vector(Message message, String hex, String json) { }

    private Vector vector(int version, Values.Variant variant) throws Exception {
        ObjectNode values = new Values(version, variant).struct(spec.fields, spec.name);
        Message message = message(values, version);
        byte[] bytes = bytes(message, version);
        if (variant == Values.Variant.DEFAULTS) {
            checkAgainstConstructor(bytes, version);
        }
        // Kafka reads its own bytes to the same message, or the vector is no proof of anything.
        Message again = (Message) type.getConstructor().newInstance();
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        again.read(new ByteBufferAccessor(buffer), (short) version);
        if (!again.equals(message) || buffer.hasRemaining()) {
            throw new IllegalStateException(spec.name + " v" + version + " " + variant + " is not read back as it was");
        }
        return new Vector(message, HexFormat.of().formatHex(bytes), json(message, values, version));
    }

    /** A field that no release knows, at the top level of the full instance: a reader keeps or skips it, and must not fail. */
    private int writeUnknownTag() throws Exception {
        int version = spec.versions.highest();
        Vector full = vector(version, Values.Variant.FULL);
        full.message.unknownTaggedFields().add(new RawTaggedField(9001, new byte[] {1, 2, 3}));
        out.append("unknown_tag ").append(full.json).append('\n');
        out.append(version).append(' ').append(HexFormat.of().formatHex(bytes(full.message, version))).append('\n');
        return 1;
    }

    /** What the constructor makes and what the definition calls default are the same, wherever the former can be written. */
    private void checkAgainstConstructor(byte[] bytes, int version) throws Exception {
        byte[] constructed;
        try {
            constructed = bytes((Message) type.getConstructor().newInstance(), version);
        } catch (NullPointerException mustBeFilled) {
            return;
        }
        if (!java.util.Arrays.equals(bytes, constructed)) {
            throw new IllegalStateException(spec.name + " v" + version + ": default differs from the constructor's");
        }
    }

    private Message message(ObjectNode values, int version) throws Exception {
        try {
            return (Message) converter.getMethod("read", JsonNode.class, short.class).invoke(null, values, (short) version);
        } catch (InvocationTargetException e) {
            throw new IllegalStateException(spec.name + " v" + version + " from " + values, e.getCause());
        }
    }

    private static byte[] bytes(Message message, int version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        byte[] bytes = new byte[message.size(cache, (short) version)];
        message.write(new ByteBufferAccessor(ByteBuffer.wrap(bytes)), cache, (short) version);
        return bytes;
    }

    private String json(Message message, ObjectNode values, int version) throws Exception {
        JsonNode node = (JsonNode) converter.getMethod("write", type, short.class).invoke(null, message, (short) version);
        fillRecords(spec.fields, values, node);
        return node.toString();
    }

    /** Kafka's converters write an empty value for record bytes; put the bytes that went in. */
    private static void fillRecords(List<Spec.Field> fields, JsonNode from, JsonNode to) {
        for (Spec.Field field : fields) {
            JsonNode source = from.get(field.jsonName());
            JsonNode target = to.get(field.jsonName());
            if (source == null || target == null || target.isNull()) {
                continue;
            }
            if (field.type().equals("records")) {
                ((ObjectNode) to).set(field.jsonName(), source);
            } else if (field.isArray()) {
                for (int i = 0; i < target.size(); i++) {
                    if (target.get(i).isObject()) {
                        fillRecords(field.fields(), source.get(i), target.get(i));
                    }
                }
            } else if (target.isObject()) {
                fillRecords(field.fields(), source, target);
            }
        }
    }
}
