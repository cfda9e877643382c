import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.SplittableRandom;
import org.apache.kafka.common.Uuid;

/**
 * Values for the fields of a message, as the JSON its converter reads.
 * A value depends only on the schema's name, the path of the field and the variant, so neighbouring
 * versions carry the same values and a new field in a later release leaves the other vectors as they were.
 */
final class Values {
    enum Variant {
        /** What a new instance holds; what must not be null is filled with its empty value. */
        DEFAULTS,
        /** Every field of the version, tagged ones too, holds something else than its default; arrays have two elements. */
        FULL,
        /** Everything that may be null is; arrays that may not are empty. */
        NULLS,
        /** Arrays, strings and bytes are there and empty, nullable structs are there. */
        EMPTY,
        /** Numbers at their bounds, strings and bytes longer than one length byte can say, one-element arrays. */
        EXTREME,
        /** Each choice drawn: null or not, zero to three elements, tagged field there or not. */
        MIXED,
    }

    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private final int version;
    private final Variant variant;

    Values(int version, Variant variant) {
        this.version = version;
        this.variant = variant;
    }

    ObjectNode struct(List<Spec.Field> fields, String path) {
        ObjectNode node = JSON.objectNode();
        for (Spec.Field field : fields) {
            if (!field.versions().contain(version)) {
                continue;
            }
            String here = path + "." + field.name();
            boolean tagged = field.tagged().contain(version);
            if (tagged && (variant == Variant.DEFAULTS || variant == Variant.MIXED && random(here + "?tag").nextInt(3) == 0)) {
                continue;
            }
            node.set(field.jsonName(), field(field, here));
        }
        return node;
    }

    private JsonNode field(Spec.Field field, String path) {
        boolean nullable = field.nullable().contain(version);
        boolean isNull = nullable && switch (variant) {
            case DEFAULTS -> field.defaultText().equals("null");
            case NULLS -> true;
            case MIXED -> random(path + "?null").nextInt(3) == 0;
            case FULL, EMPTY, EXTREME -> false;
        };
        if (isNull) {
            return NullNode.instance;
        }
        if (field.isArray()) {
            ArrayNode array = JSON.arrayNode();
            int count = switch (variant) {
                case DEFAULTS, NULLS, EMPTY -> 0;
                case FULL -> 2;
                case EXTREME -> 1;
                case MIXED -> random(path + "?count").nextInt(4);
            };
            for (int i = 0; i < count; i++) {
                array.add(one(field, field.type().substring(2), path + "[" + i + "]"));
            }
            return array;
        }
        return one(field, field.type(), path);
    }

    private JsonNode one(Spec.Field field, String type, String path) {
        SplittableRandom random = random(path);
        boolean isDefault = variant == Variant.DEFAULTS;
        return switch (type) {
            case "bool" -> {
                boolean normal = field.defaultText().equals("true");
                yield BooleanNode.valueOf(switch (variant) {
                    case DEFAULTS -> normal;
                    case MIXED -> random.nextBoolean();
                    default -> !normal;
                });
            }
            case "int8" -> integer(field, random, Byte.MIN_VALUE, Byte.MAX_VALUE);
            case "int16" -> integer(field, random, Short.MIN_VALUE, Short.MAX_VALUE);
            case "uint16" -> integer(field, random, 0, 0xffff);
            case "int32" -> integer(field, random, Integer.MIN_VALUE, Integer.MAX_VALUE);
            case "uint32" -> integer(field, random, 0, 0xffffffffL);
            case "int64" -> integer(field, random, Long.MIN_VALUE, Long.MAX_VALUE);
            case "float64" -> DoubleNode.valueOf(isDefault ? 0.0
                : variant == Variant.EXTREME ? (random.nextBoolean() ? Double.MIN_VALUE : -Double.MAX_VALUE)
                : (random.nextInt(2_000_001) - 1_000_000) / 64.0);
            case "string" -> TextNode.valueOf(text(field, random));
            case "uuid" -> TextNode.valueOf((isDefault ? Uuid.ZERO_UUID
                : variant == Variant.EXTREME ? new Uuid(-1L, Long.MIN_VALUE)
                : new Uuid(random.nextLong(), random.nextLong())).toString());
            case "bytes", "records" -> BinaryNode.valueOf(bytes(random));
            default -> struct(field.fields(), path);
        };
    }

    private LongNode integer(Spec.Field field, SplittableRandom random, long lowest, long highest) {
        long normal = field.defaultText().isEmpty() || field.defaultText().equals("null") ? 0 : Long.decode(field.defaultText());
        long value = switch (variant) {
            case DEFAULTS -> normal;
            case EXTREME -> random.nextBoolean() ? lowest : highest;
            // Small numbers and the whole range, half each.
            default -> random.nextBoolean() || highest < 1000
                ? Math.max(lowest, random.nextInt(250) - 100)
                : lowest + Long.remainderUnsigned(random.nextLong(), highest - lowest);
        };
        if (variant != Variant.DEFAULTS && variant != Variant.MIXED && value == normal) {
            value = 7;
        }
        return LongNode.valueOf(Math.min(highest, value));
    }

    private String text(Spec.Field field, SplittableRandom random) {
        switch (variant) {
            case DEFAULTS:
                return field.defaultText().equals("null") ? "" : field.defaultText();
            case EMPTY:
                return "";
            case EXTREME:
                return "é".repeat(70);
            default:
                StringBuilder text = new StringBuilder();
                int length = 1 + random.nextInt(6);
                for (int i = 0; i < length; i++) {
                    text.append((char) ('a' + random.nextInt(26)));
                }
                // One, two, three and four bytes of UTF-8.
                return text.append(List.of("", "", "", "", "", "ß", "→", "😀").get(random.nextInt(8))).toString();
        }
    }

    private byte[] bytes(SplittableRandom random) {
        byte[] bytes = new byte[switch (variant) {
            case DEFAULTS, EMPTY -> 0;
            case EXTREME -> 129;
            default -> 1 + random.nextInt(6);
        }];
        random.nextBytes(bytes);
        return bytes;
    }

    /** FNV-1a of the path and the variant is the seed. */
    private SplittableRandom random(String path) {
        long hash = 0xcbf29ce484222325L;
        for (char c : (variant + ":" + path).toCharArray()) {
            hash = (hash ^ c) * 0x100000001b3L;
        }
        return new SplittableRandom(hash);
    }
}
