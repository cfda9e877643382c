import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ScheduledFuture;
import java.util.function.Supplier;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.memory.MemoryPool;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.metadata.BrokerRegistrationChangeRecord;
import org.apache.kafka.common.metadata.ConfigRecord;
import org.apache.kafka.common.metadata.FeatureLevelRecord;
import org.apache.kafka.common.metadata.PartitionRecord;
import org.apache.kafka.common.metadata.ProducerIdsRecord;
import org.apache.kafka.common.metadata.RegisterBrokerRecord;
import org.apache.kafka.common.metadata.TopicRecord;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.FileLogInputStream;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.metadata.properties.MetaProperties;
import org.apache.kafka.metadata.properties.MetaPropertiesVersion;
import org.apache.kafka.metadata.properties.PropertiesUtils;
import org.apache.kafka.raft.ElectionState;
import org.apache.kafka.raft.FileQuorumStateStore;
import org.apache.kafka.raft.ReplicaKey;
import org.apache.kafka.raft.internals.BatchBuilder;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import org.apache.kafka.server.common.KRaftVersion;
import org.apache.kafka.server.common.OffsetAndEpoch;
import org.apache.kafka.server.common.RequestLocal;
import org.apache.kafka.server.util.Scheduler;
import org.apache.kafka.snapshot.FileRawSnapshotWriter;
import org.apache.kafka.snapshot.RecordsSnapshotWriter;
import org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.AbortedTxn;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.BatchMetadata;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.LogStartOffsetIncrementReason;
import org.apache.kafka.storage.internals.log.OffsetPosition;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SnapshotFile;
import org.apache.kafka.storage.internals.log.TimestampOffset;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.log.VerificationGuard;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** A log directory as a broker leaves it after a clean stop, and beside it what is in it (logdir.json). */
final class Disk {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    private static final String CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg";
    private static final Uuid TOPIC_ID = new Uuid(0x0123456789abcdefL, 0x76543210fedcba98L);
    private static final Uuid DIRECTORY_ID = new Uuid(0x1111111111111111L, 0x2222222222222222L);

    /** A clock that stands still between the steps that the test takes. */
    private static final class Clock implements Time {
        long now = Batches.TIME;

        @Override
        public long milliseconds() {
            return now;
        }

        @Override
        public long nanoseconds() {
            return now * 1_000_000;
        }

        @Override
        public void sleep(long ms) {
            now += ms;
        }

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadline) {
            throw new UnsupportedOperationException();
        }
    }

    /** Runs what is due at once; the periodic work of a running broker is not wanted here. */
    private static final class AtOnce implements Scheduler {
        @Override
        public void startup() { }

        @Override
        public void shutdown() { }

        @Override
        public ScheduledFuture<?> schedule(String name, Runnable task, long delayMs, long periodMs) {
            if (delayMs == 0 && periodMs < 0) {
                task.run();
            }
            return (ScheduledFuture<?>) Proxy.newProxyInstance(ScheduledFuture.class.getClassLoader(), new Class<?>[] {ScheduledFuture.class},
                (self, method, arguments) -> method.getReturnType() == boolean.class ? Boolean.FALSE : null);
        }

        @Override
        public void resizeThreadPool(int size) { }
    }

    private final Path directory;
    private final Clock clock = new Clock();
    private final LogDirFailureChannel failures = new LogDirFailureChannel(1);
    private final ObjectNode told = JSON.objectNode();

    private Disk(Path directory) {
        this.directory = directory;
    }

    static void writeAll(Path out) throws Exception {
        Path directory = Files.createDirectories(out.resolve("logdir"));
        Disk disk = new Disk(directory);
        disk.topic();
        disk.emptyTopic();
        disk.metadataLog();
        disk.directoryFiles();
        Files.writeString(out.resolve("logdir.json"), disk.told.toPrettyString() + "\n");
        try (var files = Files.walk(directory)) {
            System.out.printf("%d files of a log directory%n", files.filter(Files::isRegularFile).count());
        }
    }

    /** Three epochs, all codecs, a committed, an aborted and an open transaction, small segments, a start offset past zero. */
    private void topic() throws Exception {
        UnifiedLog log = open("ledger-0", Map.of(
            LogConfig.INTERNAL_SEGMENT_BYTES_CONFIG, "2600",
            "segment.index.bytes", "1200",
            "index.interval.bytes", "400"), Optional.of(TOPIC_ID));
        log.assignEpochStartOffset(0, 0);
        int sequence = 0;
        for (int i = 0; i < 12; i++) {
            clock.sleep(1000);
            Compression codec = List.<Compression>of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(),
                Compression.lz4().build(), Compression.zstd().build()).get(i % 5);
            int epoch = i / 5;
            if (i % 5 == 0 && i > 0) {
                log.assignEpochStartOffset(epoch, log.logEndOffset());
            }
            // Plain records; every third batch a little in the past, so that the time index has less to say.
            long time = clock.now - (i % 3 == 2 ? 2500 : 0);
            log.appendAsLeader(MemoryRecords.withRecords(codec, records(time, "plain-" + i, 4)), epoch);
            // An idempotent producer.
            log.appendAsLeader(MemoryRecords.withIdempotentRecords(codec, 1000L, (short) 2, sequence, records(clock.now, "idempotent-" + i, 3)), epoch);
            sequence += 3;
            // A transactional one: commits, aborts, commits …; the last one is left open.
            log.appendAsLeader(MemoryRecords.withTransactionalRecords(codec, 2000L, (short) (i / 4), i % 4 * 2, records(clock.now, "transaction-" + i, 2)), epoch);
            if (i < 11) {
                ControlRecordType type = i % 2 == 0 ? ControlRecordType.COMMIT : ControlRecordType.ABORT;
                log.appendAsLeader(MemoryRecords.withEndTransactionMarker(clock.now, 2000L, (short) (i / 4), new EndTransactionMarker(type, 7)),
                    epoch, AppendOrigin.COORDINATOR, RequestLocal.noCaching(), VerificationGuard.SENTINEL, (short) 1);
            }
            log.updateHighWatermark(log.logEndOffset());
        }
        log.maybeIncrementLogStartOffset(5, LogStartOffsetIncrementReason.ClientRecordDeletion);
        tell("ledger-0", log);
        ((ObjectNode) told.get("ledger-0")).put("topicId", TOPIC_ID.toString());
        log.close();
        tellSnapshots("ledger-0");
    }

    /** A partition that nobody has written to yet; its topic's name has every sign that a name may have. */
    private void emptyTopic() throws Exception {
        UnifiedLog log = open("other.topic_with-signs-12", Map.of("segment.index.bytes", "1200"), Optional.of(new Uuid(12, 12)));
        tell("other.topic_with-signs-12", log);
        log.close();
        tellSnapshots("other.topic_with-signs-12");
    }

    /** The metadata log of a new one-node cluster, its snapshot and its quorum state. */
    private void metadataLog() throws Exception {
        UnifiedLog log = open("__cluster_metadata-0", Map.of("segment.index.bytes", "1200"), Optional.of(Uuid.METADATA_TOPIC_ID));
        log.assignEpochStartOffset(1, 0);
        log.appendAsLeader(MemoryRecords.withLeaderChangeMessage(0, clock.now, 1, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setLeaderId(1)
                .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))
                .setGrantingVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))), 1, AppendOrigin.RAFT_LEADER);
        RegisterBrokerRecord.BrokerEndpointCollection endpoints = new RegisterBrokerRecord.BrokerEndpointCollection();
        endpoints.add(new RegisterBrokerRecord.BrokerEndpoint().setName("PLAINTEXT").setHost("localhost").setPort(9092).setSecurityProtocol((short) 0));
        List<ApiMessageAndVersion> records = List.of(
            record(new FeatureLevelRecord().setName("metadata.version").setFeatureLevel((short) 29), 0),
            record(new RegisterBrokerRecord().setBrokerId(1).setBrokerEpoch(2).setIncarnationId(new Uuid(5, 6))
                .setEndPoints(endpoints).setFenced(true).setLogDirs(List.of(DIRECTORY_ID)), 3),
            record(new BrokerRegistrationChangeRecord().setBrokerId(1).setBrokerEpoch(2).setFenced((byte) -1), 2),
            record(new TopicRecord().setName("ledger").setTopicId(TOPIC_ID), 0),
            record(new PartitionRecord().setTopicId(TOPIC_ID).setPartitionId(0).setReplicas(List.of(1)).setIsr(List.of(1))
                .setLeader(1).setLeaderEpoch(2).setPartitionEpoch(4).setDirectories(List.of(DIRECTORY_ID)), 1),
            record(new ConfigRecord().setResourceType((byte) 2).setResourceName("ledger").setName("retention.ms").setValue("-1"), 0),
            record(new ProducerIdsRecord().setBrokerId(1).setBrokerEpoch(2).setNextProducerId(3000), 0));
        BatchBuilder<ApiMessageAndVersion> batch = new BatchBuilder<>(
            ByteBuffer.allocate(4096), MetadataRecordSerde.INSTANCE, Compression.NONE, 1, clock.now, 1, 4096);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        for (ApiMessageAndVersion record : records) {
            if (batch.bytesNeeded(List.of(record), cache).isPresent()) {
                throw new IllegalStateException("batch too small");
            }
            batch.appendRecord(record, cache);
        }
        log.appendAsLeader(batch.build(), 1, AppendOrigin.RAFT_LEADER);
        log.updateHighWatermark(log.logEndOffset());
        tell("__cluster_metadata-0", log);
        log.close();
        tellSnapshots("__cluster_metadata-0");

        Path logPath = directory.resolve("__cluster_metadata-0");
        snapshot(logPath, new OffsetAndEpoch(8, 1), records);
        // The bootstrap file has the format of a snapshot.
        snapshot(logPath, new OffsetAndEpoch(0, 0), records.subList(0, 1));
        Files.move(logPath.resolve("00000000000000000000-0000000000.checkpoint"), directory.resolve("bootstrap.checkpoint"));
        new FileQuorumStateStore(logPath.resolve("quorum-state").toFile()).writeElectionState(
            ElectionState.withElectedLeader(1, 1, Optional.of(ReplicaKey.of(1, DIRECTORY_ID)), Set.of(1)), KRaftVersion.KRAFT_VERSION_1);
        ArrayNode expected = told.putArray("metadataRecords");
        for (ApiMessageAndVersion record : records) {
            ObjectNode one = expected.addObject();
            one.put("name", record.message().getClass().getSimpleName());
            one.put("version", record.version());
            one.set("data", (com.fasterxml.jackson.databind.JsonNode) Class.forName(record.message().getClass().getName() + "JsonConverter")
                .getMethod("write", record.message().getClass(), short.class).invoke(null, record.message(), record.version()));
        }
    }

    private static ApiMessageAndVersion record(ApiMessage message, int version) {
        return new ApiMessageAndVersion(message, (short) version);
    }

    private void snapshot(Path log, OffsetAndEpoch id, List<ApiMessageAndVersion> records) {
        try (RecordsSnapshotWriter<ApiMessageAndVersion> writer = new RecordsSnapshotWriter.Builder()
            .setLastContainedLogTimestamp(clock.now)
            .setTime(clock)
            .setMaxBatchSizeBytes(4096)
            .setMemoryPool(MemoryPool.NONE)
            .setRawSnapshotWriter(FileRawSnapshotWriter.create(log, id))
            .setKraftVersion(KRaftVersion.KRAFT_VERSION_0)
            .build(MetadataRecordSerde.INSTANCE)) {
            writer.append(records);
            writer.freeze();
        }
    }

    private void directoryFiles() throws Exception {
        TopicPartition ledger = new TopicPartition("ledger", 0);
        TopicPartition other = new TopicPartition("other.topic_with-signs", 12);
        long end = told.get("ledger-0").get("logEndOffset").asLong();
        checkpoint("recovery-point-offset-checkpoint", Map.of(ledger, end, other, 0L));
        checkpoint("replication-offset-checkpoint", Map.of(ledger, end, other, 0L));
        checkpoint("log-start-offset-checkpoint", Map.of(ledger, 5L));
        checkpoint("cleaner-offset-checkpoint", Map.of());
        new CleanShutdownFileHandler(directory.toString()).write(2L);
        PropertiesUtils.writePropertiesFile(
            new MetaProperties.Builder().setVersion(MetaPropertiesVersion.V1).setClusterId(CLUSTER_ID).setNodeId(1)
                .setDirectoryId(DIRECTORY_ID).build().toProperties(),
            directory.resolve("meta.properties").toString(), false);
        // java.util.Properties writes the date in its first line; it is the one thing here that differs from run to run.
        Path properties = directory.resolve("meta.properties");
        Files.writeString(properties, Files.readString(properties).replaceAll("(?m)^#\\w{3} \\w{3} \\d.*$", "#Thu Oct 09 08:53:20 UTC 2025"));
        told.put("clusterId", CLUSTER_ID);
        told.put("nodeId", 1);
        told.put("directoryId", DIRECTORY_ID.toString());
    }

    private void checkpoint(String name, Map<TopicPartition, Long> offsets) throws Exception {
        Map<TopicPartition, Long> sorted = new TreeMap<>((a, b) -> a.toString().compareTo(b.toString()));
        sorted.putAll(offsets);
        new OffsetCheckpointFile(directory.resolve(name).toFile(), failures).write(sorted);
        ObjectNode told = this.told.putObject(name);
        sorted.forEach((partition, offset) -> told.put(partition.toString(), offset));
    }

    private UnifiedLog open(String name, Map<String, String> config, Optional<Uuid> topicId) throws Exception {
        return UnifiedLog.create(directory.resolve(name).toFile(), new LogConfig(config), 0L, 0L, new AtOnce(), new BrokerTopicStats(), clock,
            60_000, new ProducerStateManagerConfig(86_400_000, false), 600_000, failures, true, topicId);
    }

    private static SimpleRecord[] records(long time, String text, int count) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int i = 0; i < count; i++) {
            records[i] = Batches.record(time + i, "key-" + i, text + " of " + count);
        }
        return records;
    }

    private void tell(String name, UnifiedLog log) throws Exception {
        ObjectNode partition = told.putObject(name);
        partition.put("logStartOffset", log.logStartOffset());
        partition.put("logEndOffset", log.logEndOffset());
        partition.put("highWatermark", log.highWatermark());
        partition.put("lastStableOffset", log.lastStableOffset());
        ObjectNode epochs = partition.putObject("leaderEpochs");
        log.leaderEpochCache().epochEntries().forEach(entry -> epochs.put(Integer.toString(entry.epoch()), entry.startOffset()));
        ArrayNode segments = partition.putArray("segments");
        for (LogSegment segment : log.logSegments()) {
            ObjectNode one = segments.addObject();
            one.put("baseOffset", segment.baseOffset());
            one.put("size", segment.size());
            // A clean close adds the last time index entry; add it now, so that it can be told.
            segment.timeIndex().maybeAppend(segment.maxTimestampSoFar(), segment.readMaxTimestampAndOffsetSoFar().offset(), true);
            ArrayNode offsets = one.putArray("offsetIndex");
            for (int i = 0; i < segment.offsetIndex().entries(); i++) {
                OffsetPosition entry = segment.offsetIndex().entry(i);
                offsets.addArray().add(entry.offset()).add(entry.position());
            }
            ArrayNode times = one.putArray("timeIndex");
            for (int i = 0; i < segment.timeIndex().entries(); i++) {
                TimestampOffset entry = segment.timeIndex().entry(i);
                times.addArray().add(entry.timestamp()).add(entry.offset());
            }
            ArrayNode aborted = one.putArray("abortedTransactions");
            for (AbortedTxn txn : segment.txnIndex().allAbortedTxns()) {
                ObjectNode entry = aborted.addObject();
                entry.put("producerId", txn.producerId());
                entry.put("firstOffset", txn.firstOffset());
                entry.put("lastOffset", txn.lastOffset());
                entry.put("lastStableOffset", txn.lastStableOffset());
            }
            ArrayNode batches = one.putArray("batches");
            for (FileLogInputStream.FileChannelRecordBatch batch : segment.log().batches()) {
                ObjectNode entry = batches.addObject();
                entry.put("position", batch.position());
                entry.put("baseOffset", batch.baseOffset());
                entry.put("lastOffset", batch.lastOffset());
                entry.put("partitionLeaderEpoch", batch.partitionLeaderEpoch());
                entry.put("maxTimestamp", batch.maxTimestamp());
                entry.put("compression", batch.compressionType().name);
                entry.put("producerId", batch.producerId());
                entry.put("producerEpoch", batch.producerEpoch());
                entry.put("baseSequence", batch.baseSequence());
                entry.put("isTransactional", batch.isTransactional());
                entry.put("isControl", batch.isControlBatch());
                entry.put("count", batch.countOrNull());
            }
        }
    }

    private void tellSnapshots(String name) throws Exception {
        ObjectNode snapshots = ((ObjectNode) told.get(name)).putObject("producerSnapshots");
        List<SnapshotFile> files = ProducerStateManager.listSnapshotFiles(directory.resolve(name).toFile());
        files.stream().sorted((a, b) -> Long.compare(a.offset, b.offset)).forEach(file -> {
            ArrayNode entries = snapshots.putArray(Long.toString(file.offset));
            try {
                for (ProducerStateEntry entry : ProducerStateManager.readSnapshot(file.file())) {
                    ObjectNode one = entries.addObject();
                    one.put("producerId", entry.producerId());
                    one.put("producerEpoch", entry.producerEpoch());
                    one.put("coordinatorEpoch", entry.coordinatorEpoch());
                    one.put("lastTimestamp", entry.lastTimestamp());
                    one.put("currentTxnFirstOffset", entry.currentTxnFirstOffset().orElse(-1));
                    for (BatchMetadata batch : entry.batchMetadata()) {
                        one.put("lastSequence", batch.lastSeq());
                        one.put("lastOffset", batch.lastOffset());
                        one.put("offsetDelta", batch.offsetDelta());
                    }
                }
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
    }
}
