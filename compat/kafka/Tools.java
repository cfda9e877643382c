import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.common.utils.Exit;
import org.slf4j.LoggerFactory;

/**
 * Runs Kafka's command line tools one after the other in one JVM, each as if it had a process of its own: its own
 * static state, standard input, output and exit code. What the tools log stays on this process's standard error.
 */
public final class Tools {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Thrown where the tool would have ended its process. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;
    }

    /** A tool's classes are loaded anew for every run, because some keep counts in static fields. */
    private static final class ToolLoader extends URLClassLoader {
        ToolLoader(URL[] jars) {
            super(jars, Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.") && !name.startsWith("kafka.admin.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                if (loaded != null) {
                    return loaded;
                }
                try {
                    return findClass(name);
                } catch (ClassNotFoundException elsewhere) {
                    // org.apache.kafka.tools.api is in a jar of its own.
                    return super.loadClass(name, resolve);
                }
            }
        }
    }

    private Tools() {}

    /** Arguments: the jars with the tools' classes. */
    public static void main(String[] args) throws Exception {
        URL[] jars = new URL[args.length];
        for (int i = 0; i < args.length; i++) {
            jars[i] = Path.of(args[i]).toUri().toURL();
        }
        // The logger keeps the standard error that it finds now.
        LoggerFactory.getLogger(Tools.class);
        PrintStream answers = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode request = JSON.readTree(line);
            ObjectNode answer = run(jars, request);
            answer.set("id", request.get("id"));
            answers.println(answer);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static ObjectNode run(URL[] jars, JsonNode request) throws Exception {
        List<String> args = new ArrayList<>();
        request.get("args").forEach(arg -> args.add(arg.asText()));
        InputStream input = new ByteArrayInputStream(request.get("input").asText().getBytes(StandardCharsets.UTF_8));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream printed = new PrintStream(out, true, StandardCharsets.UTF_8);
        PrintStream complained = new PrintStream(err, true, StandardCharsets.UTF_8);
        AtomicReference<Integer> code = new AtomicReference<>();
        List<Runnable> hooks = new ArrayList<>();
        Exit.Procedure exit = (status, message) -> {
            if (code.compareAndSet(null, status)) {
                // What follows in a catch clause would not have been reached.
                System.setOut(new PrintStream(PrintStream.nullOutputStream()));
                System.setErr(new PrintStream(PrintStream.nullOutputStream()));
            }
            throw new Ended();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        System.setIn(input);
        System.setOut(printed);
        System.setErr(complained);
        try (ToolLoader loader = new ToolLoader(jars)) {
            Thread.currentThread().setContextClassLoader(loader);
            loader.loadClass(request.get("class").asText())
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) args.toArray(new String[0]));
        } catch (InvocationTargetException failure) {
            // As the JVM reports what nobody caught.
            if (code.compareAndSet(null, 1)) {
                complained.print("Exception in thread \"main\" ");
                failure.getCause().printStackTrace(complained);
            }
        }
        System.setOut(printed);
        System.setErr(complained);
        hooks.forEach(Runnable::run);
        ObjectNode answer = JSON.createObjectNode();
        answer.put("ok", true);
        answer.put("code", code.get() == null ? 0 : code.get());
        answer.put("out", out.toString(StandardCharsets.UTF_8));
        answer.put("err", err.toString(StandardCharsets.UTF_8));
        return answer;
    }
}
