package probe;

import dev.muon.Request;
import java.io.IOException;

public class Main {
    public static String handle(Request request) throws IOException {
        return request.path().equals("/env") ? System.getenv("PROBE") : request.method() + " " + request.path() + " " + request.text();
    }
}
