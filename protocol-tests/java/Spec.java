import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/** One message definition, as the JSON resource inside a Kafka jar states it. */
final class Spec {
    /** An inclusive range of versions; empty when the definition says "none" or nothing. */
    record Versions(int lowest, int highest) {
        static final Versions NONE = new Versions(0, -1);

        static Versions parse(JsonNode text) {
            if (text == null || text.asText().isBlank() || text.asText().equals("none")) {
                return NONE;
            }
            String range = text.asText();
            if (range.endsWith("+")) {
                return new Versions(Integer.parseInt(range.substring(0, range.length() - 1)), Short.MAX_VALUE);
            }
            String[] ends = range.split("-");
            return new Versions(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
        }

        boolean contain(int version) {
            return lowest <= version && version <= highest;
        }
    }

    record Field(
        String name, String type, Versions versions, Versions nullable, Versions tagged,
        String defaultText, List<Field> fields
    ) {
        boolean isArray() {
            return type.startsWith("[]");
        }

        /** The name that Kafka's JSON converters use. */
        String jsonName() {
            return Character.toLowerCase(name.charAt(0)) + name.substring(1);
        }
    }

    private static final JsonMapper MAPPER = JsonMapper.builder()
        .enable(JsonReadFeature.ALLOW_JAVA_COMMENTS)
        .build();

    final String name;
    /** request, response, header, data, metadata, coordinator-key or coordinator-value. */
    final String kind;
    final int apiKey;
    final Versions versions;
    final Versions flexible;
    final List<Field> fields;
    /** The generated class, its JSON converter beside it. */
    final String className;

    private Spec(JsonNode json, String packageName) {
        this.name = json.get("name").asText();
        this.kind = json.get("type").asText();
        this.apiKey = json.path("apiKey").asInt(-1);
        this.versions = Versions.parse(json.get("validVersions"));
        this.flexible = Versions.parse(json.get("flexibleVersions"));
        Map<String, JsonNode> structs = new HashMap<>();
        for (JsonNode struct : json.path("commonStructs")) {
            structs.put(struct.get("name").asText(), struct.get("fields"));
        }
        this.fields = fields(json.path("fields"), structs);
        this.className = packageName + "." + dataClass(name, kind);
    }

    private Spec(Spec other, Versions versions) {
        this.name = other.name;
        this.kind = other.kind;
        this.apiKey = other.apiKey;
        this.versions = versions;
        this.flexible = other.flexible;
        this.fields = other.fields;
        this.className = other.className;
    }

    /** The same message, in these versions only. */
    Spec in(Versions versions) {
        return new Spec(this, versions);
    }

    private static String dataClass(String name, String kind) {
        return switch (kind) {
            case "request", "response", "header" -> name + "Data";
            default -> name;
        };
    }

    private static List<Field> fields(JsonNode list, Map<String, JsonNode> structs) {
        List<Field> fields = new ArrayList<>();
        for (JsonNode json : list) {
            String type = json.get("type").asText().trim();
            JsonNode inner = json.get("fields");
            if (inner == null) {
                inner = structs.get(type.replace("[]", ""));
            }
            JsonNode defaultNode = json.get("default");
            fields.add(new Field(
                json.get("name").asText(),
                type,
                Versions.parse(json.get("versions")),
                Versions.parse(json.get("nullableVersions")),
                Versions.parse(json.get("taggedVersions")),
                defaultNode == null ? "" : defaultNode.asText().trim(),
                inner == null ? List.of() : fields(inner, structs)));
        }
        return fields;
    }

    /** Every definition with a generated class in the jars of `libs`, by name; those without a valid version are left out. */
    static List<Spec> readAll(List<Path> jars) throws IOException {
        List<Spec> specs = new ArrayList<>();
        for (Path path : jars) {
            try (JarFile jar = new JarFile(path.toFile())) {
                Map<String, String> packages = new HashMap<>();
                for (JarEntry entry : Collections.list(jar.entries())) {
                    String file = entry.getName();
                    if (file.endsWith("JsonConverter.class") && !file.contains("$")) {
                        int slash = file.lastIndexOf('/');
                        packages.put(
                            file.substring(slash + 1, file.length() - "JsonConverter.class".length()),
                            file.substring(0, slash).replace('/', '.'));
                    }
                }
                for (JarEntry entry : Collections.list(jar.entries())) {
                    if (!entry.getName().endsWith(".json")) {
                        continue;
                    }
                    JsonNode json;
                    try (InputStream in = jar.getInputStream(entry)) {
                        json = MAPPER.readTree(in);
                    }
                    if (!json.has("validVersions") || Versions.parse(json.get("validVersions")) == Versions.NONE) {
                        continue;
                    }
                    String cls = dataClass(json.get("name").asText(), json.get("type").asText());
                    String packageName = packages.get(cls);
                    if (packageName == null) {
                        throw new IllegalStateException("no JSON converter for " + entry.getName() + " in " + path);
                    }
                    specs.add(new Spec(json, packageName));
                }
            }
        }
        specs.sort((a, b) -> a.name.compareTo(b.name));
        return specs;
    }
}
