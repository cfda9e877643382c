import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Vectors LIBS OUT: bytes made by the Kafka classes of the jars in LIBS, with what they mean, as files under OUT. */
public final class Vectors {
    public static void main(String[] args) throws Exception {
        Path libs = Path.of(args[0]);
        Path out = Path.of(args[1]);
        List<Path> jars;
        try (Stream<Path> files = Files.list(libs)) {
            jars = files
                .filter(jar -> jar.getFileName().toString().matches(
                    "kafka-(clients|group-coordinator|metadata|raft|share-coordinator|storage|transaction-coordinator)-[0-9.]+\\.jar"))
                .sorted()
                .toList();
        }
        Messages.writeAll(jars, fresh(out.resolve("messages")));
        Names.writeAll(fresh(out.resolve("names")));
        Batches.writeAll(fresh(out.resolve("records")));
        Path disk = fresh(out.resolve("disk"));
        Framed.writeAll(jars, disk);
        Disk.writeAll(disk);
    }

    private static Path fresh(Path directory) throws IOException {
        if (Files.exists(directory)) {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path path : files.sorted((a, b) -> b.compareTo(a)).toList()) {
                    Files.delete(path);
                }
            }
        }
        return Files.createDirectories(directory);
    }
}
