import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ApiVersionsResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;

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
        System.out.printf("%d API keys, %d error codes%n", ApiKeys.values().length, Errors.values().length);
    }
}
