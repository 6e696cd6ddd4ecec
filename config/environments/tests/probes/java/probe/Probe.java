package probe;

import com.sun.net.httpserver.HttpExchange;
import dev.muon.Request;
import dev.muon.Response;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.logging.Logger;

/** The function that the environment's tests call. */
public class Probe {
    private static final Logger LOG = Logger.getLogger("probe");
    private final Meeting meeting = new Meeting(8);

    public Object handle(Request request) throws Exception {
        switch (request.path()) {
            case "/hello":
                return "hello\n";
            case "/request":
                return Response.json("{\"method\":\"%s\",\"path\":\"%s\",\"id\":\"%s\",\"a\":\"%s\",\"b\":\"%s\",\"two\":\"%s\",\"body\":\"%s\"}"
                        .formatted(request.method(), request.path(), request.params().get("id"), request.query("a"),
                                request.query("b"), request.header("X-Two"), request.text()));
            case "/made":
                return Response.of(201, "made").header("X-Made", "yes");
            case "/echo":
                return Response.stream(out -> echo(request.body(), out));
            case "/meet":
                meeting.join();
                return "met";
            case "/fail":
                return deeper();
            case "/late":
                return Response.stream(out -> {
                    out.write("part".getBytes());
                    out.flush();
                    deeper();
                });
            case "/env":
                return System.getenv("GREETING") + "|" + data();
            case "/log":
                LOG.warning("a line");
                return null;
            case "/hold":
                System.out.println("begun");
                return Files.readString(Path.of(System.getenv("GATE")));
            case "/never":
                System.out.println("begun");
                Thread.sleep(1_000_000);
                return null;
            case "/invalid":
                return 7;
            default:
                return Response.of(404, "no such route");
        }
    }

    private static void echo(InputStream in, OutputStream out) throws IOException {
        byte[] buffer = new byte[4096];
        for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
            out.write(new String(buffer, 0, count).toUpperCase().getBytes());
            out.flush();
        }
    }

    private static Object deeper() {
        throw new IllegalStateException("lost");
    }

    private static String data() throws IOException {
        try (InputStream data = Probe.class.getResourceAsStream("/data.txt")) {
            return new String(data.readAllBytes());
        }
    }

    public static void exchange(HttpExchange exchange) throws IOException {
        exchange.sendResponseHeaders(202, 0);
        exchange.getResponseBody().write("by hand".getBytes());
    }

    public String wrong(int number) {
        return "no handler";
    }

    /** A class that is a handler. */
    public static class Whole implements dev.muon.Handler {
        @Override
        public Object handle(Request request) {
            return "whole";
        }
    }

    /** A class that cannot be loaded. */
    public static class Broken implements dev.muon.Handler {
        static final int VALUE = Integer.parseInt("no number");

        @Override
        public Object handle(Request request) {
            return VALUE;
        }
    }
}
