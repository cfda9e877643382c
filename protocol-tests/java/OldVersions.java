import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * OldVersions CLIENTS_JAR TABLE OUT: vectors of the versions that TABLE (codegen/old-versions.txt) lists, made by the
 * classes of a release that still had them.
 */
public final class OldVersions {
    private static final Pattern API = Pattern.compile("([A-Z]\\w*) (\\d+)(?:-(\\d+))?");

    public static void main(String[] args) throws Exception {
        List<Spec> release = Spec.readAll(List.of(Path.of(args[0])));
        List<Spec> old = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[1]))) {
            Matcher api = API.matcher(line);
            if (!api.matches()) {
                continue;
            }
            int lowest = Integer.parseInt(api.group(2));
            int highest = api.group(3) == null ? lowest : Integer.parseInt(api.group(3));
            for (Spec spec : release) {
                if (spec.name.equals(api.group(1) + "Request") || spec.name.equals(api.group(1) + "Response")) {
                    old.add(spec.in(new Spec.Versions(lowest, highest)));
                }
            }
        }
        Path directory = Path.of(args[2]);
        if (Files.exists(directory)) {
            try (var files = Files.list(directory)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
        }
        Messages.writeAll(old, Files.createDirectories(directory));
    }
}
