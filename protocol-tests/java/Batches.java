import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.BufferSupplier;

/** Record batches of every codec and kind, with their headers and records as Kafka reads them back. */
final class Batches {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    /** 2025-10-09T08:53:20Z; an even number to tell the deltas by. */
    static final long TIME = 1_760_000_000_000L;

    private final StringBuilder out = new StringBuilder();
    private int count = 0;

    static void writeAll(Path directory) throws IOException {
        Batches batches = new Batches();
        for (CompressionType codec : CompressionType.values()) {
            batches.codec(codec);
        }
        batches.control();
        batches.compacted();
        batches.legacy();
        Files.writeString(directory.resolve("batches.txt"), batches.out);
        System.out.printf("%d record batch vectors%n", batches.count);
    }

    private void codec(CompressionType codec) {
        Compression compression = Compression.of(codec).build();
        String name = codec.name;
        SimpleRecord[] plain = {
            record(TIME, "k1", "value one"), record(TIME + 1, "k2", "value two"), record(TIME + 7, "k1", "value three"),
            // Out of order and before the base: deltas may be negative.
            record(TIME - 1000, "k3", "early"), record(TIME + 3_600_000, "k4", "value value value value value value"),
        };
        add(name + "-plain", MemoryRecords.withRecords(42L, compression, 3, plain));
        add(name + "-one-record", MemoryRecords.withRecords(compression, record(TIME, "k", "v")));
        add(name + "-no-timestamp", MemoryRecords.withRecords(compression, record(RecordBatch.NO_TIMESTAMP, "k", "v")));
        add(name + "-headers", MemoryRecords.withRecords(compression,
            new SimpleRecord(TIME, bytes("k"), bytes("v"), new Header[] {
                new RecordHeader("trace", bytes("4bf92f35")), new RecordHeader("trace", bytes("again")),
                new RecordHeader("", bytes("empty name")), new RecordHeader("null value", (byte[]) null),
                new RecordHeader("größe →", new byte[0]),
            }),
            new SimpleRecord(TIME, (byte[]) null, null, new Header[] {new RecordHeader("only", bytes("header"))})));
        add(name + "-nulls", MemoryRecords.withRecords(compression,
            new SimpleRecord(TIME, null, bytes("no key")), new SimpleRecord(TIME, bytes("no value"), null),
            new SimpleRecord(TIME, (byte[]) null, null), new SimpleRecord(TIME, new byte[0], new byte[0])));
        add(name + "-idempotent", MemoryRecords.withIdempotentRecords(100L, compression, 4711L, (short) 5, 17, 9, plain));
        add(name + "-sequence-wraps", MemoryRecords.withIdempotentRecords(0L, compression, Long.MAX_VALUE, Short.MAX_VALUE,
            Integer.MAX_VALUE - 1, 0, plain));
        add(name + "-transactional", MemoryRecords.withTransactionalRecords(1_000_000_000_000L, compression, 12L, (short) 0, 0, 2, plain));
        add(name + "-log-append-time", logAppendTime(compression, plain));
        // Longer than one block of xerial snappy (32 KiB) and of an LZ4 frame (64 KiB).
        if (codec != CompressionType.NONE) {
            add(name + "-long", MemoryRecords.withRecords(compression, new SimpleRecord(TIME, null, lines(15_000))));
        }
        SimpleRecord[] many = new SimpleRecord[300];
        for (int i = 0; i < many.length; i++) {
            many[i] = record(TIME + i * 100L, "k" + i % 10, "");
        }
        add(name + "-many", MemoryRecords.withRecords(7L, compression, 1, many));
    }

    private static MemoryRecords logAppendTime(Compression compression, SimpleRecord[] records) {
        ByteBuffer buffer = ByteBuffer.allocate(4096);
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            buffer, RecordBatch.CURRENT_MAGIC_VALUE, compression, TimestampType.LOG_APPEND_TIME, 5L, TIME + 9_999);
        for (SimpleRecord record : records) {
            builder.append(record);
        }
        return builder.build();
    }

    private void control() {
        add("control-commit", MemoryRecords.withEndTransactionMarker(
            88L, TIME, 4, 12L, (short) 1, new EndTransactionMarker(ControlRecordType.COMMIT, 21)));
        add("control-abort", MemoryRecords.withEndTransactionMarker(
            89L, TIME, 4, 13L, (short) 0, new EndTransactionMarker(ControlRecordType.ABORT, 0)));
        add("control-leader-change", MemoryRecords.withLeaderChangeMessage(0L, TIME, 1, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setVersion((short) 0).setLeaderId(1)
                .setVoters(List.of(voter(1), voter(2), voter(3)))
                .setGrantingVoters(List.of(voter(1), voter(3)))));
        add("control-snapshot-header", MemoryRecords.withSnapshotHeaderRecord(0L, TIME, 3, ByteBuffer.allocate(512),
            new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(TIME - 5)));
        add("control-snapshot-footer", MemoryRecords.withSnapshotFooterRecord(9L, TIME, 3, ByteBuffer.allocate(512),
            new SnapshotFooterRecord().setVersion((short) 0)));
        add("control-kraft-version", MemoryRecords.withKRaftVersionRecord(1L, TIME, 3, ByteBuffer.allocate(512),
            new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1)));
        VotersRecord.EndpointCollection endpoints = new VotersRecord.EndpointCollection();
        endpoints.add(new VotersRecord.Endpoint().setName("CONTROLLER").setHost("localhost").setPort(9093));
        add("control-voters", MemoryRecords.withVotersRecord(2L, TIME, 3, ByteBuffer.allocate(512),
            new VotersRecord().setVersion((short) 0).setVoters(List.of(new VotersRecord.Voter()
                .setVoterId(1).setVoterDirectoryId(new Uuid(1, 1)).setEndpoints(endpoints)
                .setKRaftVersionFeature(new VotersRecord.KRaftVersionFeature().setMinSupportedVersion((short) 0).setMaxSupportedVersion((short) 1))))));
    }

    private static LeaderChangeMessage.Voter voter(int id) {
        return new LeaderChangeMessage.Voter().setVoterId(id);
    }

    /** What the cleaner leaves: holes in the offsets, a delete horizon in place of the base timestamp, a batch without records. */
    private void compacted() {
        for (CompressionType codec : List.of(CompressionType.NONE, CompressionType.LZ4)) {
            MemoryRecords records = MemoryRecords.withIdempotentRecords(200L, Compression.of(codec).build(), 5L, (short) 0, 0, 2,
                record(TIME, "a", "1"), record(TIME + 1, "b", "2"), new SimpleRecord(TIME + 2, bytes("c"), null),
                record(TIME + 3, "a", "3"), record(TIME + 4, "d", "4"));
            ByteBuffer kept = ByteBuffer.allocate(4096);
            records.filterTo(new MemoryRecords.RecordFilter(TIME + 60_000, 86_400_000L) {
                @Override
                protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                    return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
                }

                @Override
                protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                    return record.offset() == 202L || record.offset() == 203L;
                }
            }, kept, BufferSupplier.NO_CACHING);
            kept.flip();
            add("compacted-" + codec.name, MemoryRecords.readableRecords(kept));
        }
        ByteBuffer empty = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(empty, RecordBatch.MAGIC_VALUE_V2, 5L, (short) 0, 10, 300L, 304L, 2,
            TimestampType.CREATE_TIME, TIME, false, false);
        empty.flip();
        add("compacted-empty", MemoryRecords.readableRecords(empty));
    }

    /** Formats from before 0.11, which an old data directory can still hold and no producer of today may send. */
    private void legacy() {
        add("legacy-magic-0", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V0, 3L, Compression.NONE, record(RecordBatch.NO_TIMESTAMP, "k", "v")));
        add("legacy-magic-1", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V1, 3L, Compression.NONE, record(TIME, "k", "v")));
        add("legacy-magic-1-gzip", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V1, 3L, Compression.gzip().build(),
            record(TIME, "k", "v"), record(TIME + 1, "k", "w")));
        // Inside of format 0 offsets are those of the log.
        add("legacy-magic-0-gzip", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V0, 1L, Compression.gzip().build(),
            record(RecordBatch.NO_TIMESTAMP, "k", "v"), record(RecordBatch.NO_TIMESTAMP, "k", "w")));
        add("legacy-magic-1-snappy", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V1, 3L, Compression.snappy().build(),
            record(TIME + 2, "k", "v"), record(TIME + 4, "k", "w"), record(TIME + 3, "k", "x")));
        add("legacy-magic-1-lz4", MemoryRecords.withRecords(RecordBatch.MAGIC_VALUE_V1, 3L, Compression.lz4().build(),
            record(TIME + 5, "k", "v"), record(TIME + 6, "k", "w")));
    }

    private void add(String name, MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        List<MutableRecordBatch> batches = new ArrayList<>();
        records.batches().forEach(batches::add);
        if (batches.size() != 1) {
            throw new IllegalStateException(name + " has " + batches.size() + " batches");
        }
        out.append(name).append(' ').append(json(batches.get(0))).append('\n')
            .append(HexFormat.of().formatHex(bytes)).append('\n');
        count++;
    }

    /** What Kafka's own reader finds in a batch. */
    static ObjectNode json(RecordBatch batch) {
        batch.ensureValid();
        ObjectNode json = JSON.objectNode();
        json.put("magic", batch.magic());
        json.put("sizeInBytes", batch.sizeInBytes());
        json.put("baseOffset", batch.baseOffset());
        json.put("lastOffset", batch.lastOffset());
        json.put("compression", batch.compressionType().name);
        json.put("timestampType", batch.timestampType().name);
        json.put("maxTimestamp", batch.maxTimestamp());
        if (batch.magic() >= RecordBatch.MAGIC_VALUE_V2) {
            DefaultRecordBatch v2 = (DefaultRecordBatch) batch;
            json.put("partitionLeaderEpoch", v2.partitionLeaderEpoch());
            json.put("crc", v2.checksum());
            json.put("isTransactional", v2.isTransactional());
            json.put("isControl", v2.isControlBatch());
            json.put("deleteHorizonMs", v2.deleteHorizonMs().isPresent() ? v2.deleteHorizonMs().getAsLong() : null);
            json.put("producerId", v2.producerId());
            json.put("producerEpoch", v2.producerEpoch());
            json.put("baseSequence", v2.baseSequence());
            json.put("lastSequence", v2.lastSequence());
            json.put("count", v2.countOrNull());
        }
        ArrayNode records = json.putArray("records");
        for (Record record : batch) {
            records.add(json(record, batch));
        }
        return json;
    }

    private static JsonNode json(Record record, RecordBatch batch) {
        ObjectNode json = JSON.objectNode();
        json.put("offset", record.offset());
        json.put("timestamp", record.timestamp());
        if (batch.hasProducerId()) {
            json.put("sequence", record.sequence());
        }
        json.set("key", binary(record.key()));
        byte[] value = array(record.value());
        if (value != null && value.length > 1000) {
            // Said by its rule: see lines().
            json.put("valueLines", new String(value, StandardCharsets.UTF_8).lines().count());
            if (!Arrays.equals(value, lines(json.get("valueLines").asInt()))) {
                throw new IllegalStateException("a long value that is not lines");
            }
        } else {
            json.set("value", binary(record.value()));
        }
        if (record.headers().length > 0) {
            ArrayNode headers = json.putArray("headers");
            for (Header header : record.headers()) {
                ObjectNode one = headers.addObject();
                one.put("key", header.key());
                one.set("value", header.value() == null ? JSON.nullNode() : JSON.binaryNode(header.value()));
            }
        }
        if (batch.isControlBatch()) {
            json.put("controlType", ControlRecordType.parse(record.key()).name());
        }
        return json;
    }

    private static JsonNode binary(ByteBuffer buffer) {
        return buffer == null ? JSON.nullNode() : JSON.binaryNode(array(buffer));
    }

    private static byte[] array(ByteBuffer buffer) {
        if (buffer == null) {
            return null;
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    /** "line 0\nline 1\n…": long, compressible, and told by its length. */
    private static byte[] lines(int count) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < count; i++) {
            text.append("line ").append(i).append('\n');
        }
        return bytes(text.toString());
    }

    static SimpleRecord record(long timestamp, String key, String value) {
        return new SimpleRecord(timestamp, bytes(key), bytes(value));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
