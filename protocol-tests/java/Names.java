import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ApiVersionsResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.server.common.Feature;
import org.apache.kafka.server.common.MetadataVersion;

/** The numbered things of the protocol: API keys with their versions and header versions, and error codes. */
final class Names {
    static void writeAll(Path directory) throws IOException {
        StringBuilder apis = new StringBuilder("# key name version request-header response-header; "
            + "then what a broker and a controller advertise, unstable versions left out\n");
        for (ApiKeys api : ApiKeys.values()) {
            if (!api.hasValidVersion()) {
                apis.append("gone ").append(api.id).append(' ').append(api.name).append('\n');
                continue;
            }
            for (short version = api.messageType.lowestSupportedVersion(); version <= api.messageType.highestSupportedVersion(true); version++) {
                apis.append(api.id).append(' ').append(api.name).append(' ').append(version).append(' ')
                    .append(api.requestHeaderVersion(version)).append(' ').append(api.responseHeaderVersion(version)).append('\n');
            }
        }
        for (ApiMessageType.ListenerType listener : new ApiMessageType.ListenerType[] {
            ApiMessageType.ListenerType.BROKER, ApiMessageType.ListenerType.CONTROLLER}) {
            for (ApiKeys api : ApiKeys.apisForListener(listener)) {
                Optional<ApiVersionsResponseData.ApiVersion> range = api.toApiVersionForApiResponse(false, listener);
                range.ifPresent(versions -> apis.append(listener.name().toLowerCase()).append(' ').append(api.id).append(' ')
                    .append(versions.minVersion()).append('-').append(versions.maxVersion()).append('\n'));
            }
        }
        Files.writeString(directory.resolve("apis.txt"), apis);

        StringBuilder errors = new StringBuilder("# code name retriable\n");
        Stream.of(Errors.values()).sorted(Comparator.comparingInt(Errors::code)).forEach(error ->
            errors.append(error.code()).append(' ').append(error.name()).append(' ')
                .append(error.exception() instanceof org.apache.kafka.common.errors.RetriableException).append('\n'));
        Files.writeString(directory.resolve("errors.txt"), errors);
        StringBuilder levels = new StringBuilder(
            "# metadata.version: level name production, then the versions that RegisterBroker, RegisterController, Partition and PartitionChange records are written in\n");
        for (MetadataVersion version : MetadataVersion.values()) {
            levels.append(version.featureLevel()).append(' ').append(version.version()).append(' ').append(version.isProduction());
            // Where a record is not allowed yet, Kafka throws.
            for (Supplier<Short> record : List.<Supplier<Short>>of(version::registerBrokerRecordVersion, version::registerControllerRecordVersion,
                version::partitionRecordVersion, version::partitionChangeRecordVersion)) {
                String written;
                try {
                    written = record.get().toString();
                } catch (RuntimeException notYet) {
                    written = "none";
                }
                levels.append(' ').append(written);
            }
            levels.append('\n');
        }
        levels.append("# other features: name, lowest and highest production level, the level that goes with the latest metadata.version\n");
        for (Feature feature : Feature.PRODUCTION_FEATURES) {
            levels.append(feature.featureName()).append(' ').append(feature.minimumProduction()).append(' ')
                .append(feature.latestProduction()).append(' ')
                .append(feature.defaultLevel(MetadataVersion.latestProduction())).append('\n');
        }
        Files.writeString(directory.resolve("features.txt"), levels);

        StringBuilder partitions = new StringBuilder("# of 50, 3 and 1: the partition of __consumer_offsets or __transaction_state, then the id\n");
        // The hash of "polygenelubricants" is the smallest int, which has no absolute value.
        for (String id : List.of("", "a", "orders", "payments-eu", "polygenelubricants", "größe", "→", "😀", "a group with spaces", "x".repeat(249))) {
            for (int count : new int[] {50, 3, 1}) {
                partitions.append(Utils.abs(id.hashCode()) % count).append(' ');
            }
            partitions.append(id).append('\n');
        }
        Files.writeString(directory.resolve("partitions.txt"), partitions);
        System.out.printf("%d API keys, %d error codes%n", ApiKeys.values().length, Errors.values().length);
    }
}
