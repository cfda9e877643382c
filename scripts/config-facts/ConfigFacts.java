// Prints every broker, topic and group configuration key that a release of Apache Kafka defines, for
// src/config/keys/kafka-*.tsv, which the table of keys is tested against:
//
//   java -cp "KAFKA/libs/*" scripts/config-facts/ConfigFacts.java > src/config/keys/kafka-4.3.1.tsv
//
// Tab-separated: resource, name, type, default (=text, null or required), valid values as Kafka's
// validators print themselves, scope, and whether tools list the key.

import java.lang.reflect.Field;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.ConfigKey;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.QuotaConfig;
import org.apache.kafka.storage.internals.log.LogConfig;

public class ConfigFacts {
    public static void main(String[] args) throws Exception {
        Set<?> dynamic = (Set<?>) field(DynamicBrokerConfig.class, "ALL_DYNAMIC_CONFIGS", null);
        Set<?> perBroker = (Set<?>) field(DynamicBrokerConfig.class, "PER_BROKER_CONFIGS", null);
        ConfigDef broker = AbstractKafkaConfig.CONFIG_DEF;
        for (ConfigKey key : sorted(broker)) {
            String scope = !dynamic.contains(key.name) ? "read-only"
                : perBroker.contains(key.name) ? "per-broker" : "cluster-wide";
            print("broker", key, scope);
        }
        for (ConfigKey key : sorted(LogConfig.configDefCopy())) print("topic", key, "topic");
        ConfigDef group = (ConfigDef) field(GroupConfig.class, "CONFIG_DEF", null);
        for (ConfigKey key : sorted(group)) print("group", key, "group");
        // Settings of replication quotas: brokers have them only while they run.
        for (ConfigKey key : sorted(QuotaConfig.brokerQuotaConfigs())) print("broker", key, "cluster-wide");
    }

    private static Collection<ConfigKey> sorted(ConfigDef def) {
        return new TreeMap<>(def.configKeys()).values();
    }

    private static void print(String resource, ConfigKey key, String scope) throws Exception {
        System.out.println(String.join("\t", resource, key.name, key.type.name().toLowerCase(Locale.ROOT),
            defaultOf(key), validOf(key), scope, key.internalConfig ? "internal" : "listed"));
    }

    private static String defaultOf(ConfigKey key) {
        if (key.defaultValue == ConfigDef.NO_DEFAULT_VALUE) return "required";
        if (key.defaultValue == null) return "null";
        if (key.defaultValue instanceof List<?> list)
            return "=" + list.stream().map(String::valueOf).collect(Collectors.joining(","));
        return "=" + ConfigDef.convertToString(key.defaultValue, key.type);
    }

    private static String validOf(ConfigKey key) throws Exception {
        // "Not null" is what every key without a null default is.
        if (key.validator == null || key.validator instanceof ConfigDef.NonNullValidator) return "";
        String valid = key.validator.toString();
        if (key.validator instanceof ConfigDef.ValidList) {
            boolean empty = (boolean) field(ConfigDef.ValidList.class, "isEmptyAllowed", key.validator);
            valid = (empty ? "empty " : "nonempty ") + valid;
        }
        return valid.trim();
    }

    private static Object field(Class<?> type, String name, Object of) throws Exception {
        Field field = type.getDeclaredField(name);
        field.setAccessible(true);
        return field.get(of);
    }
}
