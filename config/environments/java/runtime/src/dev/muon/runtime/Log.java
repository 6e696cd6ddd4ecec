package dev.muon.runtime;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;

/** One JSON object a line on stdout: records of ours, of java.util.logging, and whatever user code prints. */
final class Log {
    /** The request that this thread, or the one that started it, is answering. */
    static final InheritableThreadLocal<String> REQUEST = new InheritableThreadLocal<>();

    private static final PrintStream OUT = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    private static final int LONGEST_LINE = 64 << 10;
    private static final int FRAMES = 4;

    private Log() {}

    static void install() {
        System.setOut(new PrintStream(new Lines("INFO"), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Lines("ERROR"), true, StandardCharsets.UTF_8));
        LogManager.getLogManager().reset();
        Logger root = Logger.getLogger("");
        root.setLevel(Level.INFO);
        root.addHandler(new FromLogging());
    }

    static void runtime(String level, String message, Map<String, ?> more) {
        emit(level, "runtime", message, more);
    }

    static void function(String level, String message, Map<String, ?> more) {
        emit(level, "function", message, more);
    }

    private static void emit(String level, String target, String message, Map<String, ?> more) {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("timestamp", Instant.now().truncatedTo(ChronoUnit.MILLIS).toString());
        record.put("level", level);
        record.put("target", target);
        record.put("message", message);
        if (REQUEST.get() != null) {
            record.put("requestId", REQUEST.get());
        }
        record.putAll(more);
        line(Json.write(record));
    }

    private static void line(String text) {
        synchronized (OUT) {
            OUT.print(text + "\n");
            OUT.flush();
        }
    }

    /** What was printed without an end of line. */
    static void flush() {
        System.out.flush();
        System.err.flush();
    }

    /** The error and its frames, without those of this runtime and below. */
    static String userStack(Throwable thrown) {
        StringBuilder text = new StringBuilder();
        for (Throwable one = thrown; one != null && text.length() < LONGEST_LINE; one = one.getCause()) {
            text.append(one == thrown ? "" : "Caused by: ").append(one).append('\n');
            for (StackTraceElement frame : frames(one)) {
                text.append("\tat ").append(frame).append('\n');
            }
        }
        return text.toString();
    }

    private static List<StackTraceElement> frames(Throwable thrown) {
        List<StackTraceElement> frames = new ArrayList<>();
        for (StackTraceElement frame : thrown.getStackTrace()) {
            String owner = frame.getClassName();
            if (owner.startsWith("dev.muon.runtime.")) {
                break;
            }
            if (!owner.startsWith("java.lang.reflect.") && !owner.startsWith("jdk.internal.")) {
                frames.add(frame);
            }
        }
        return frames;
    }

    /** What the author of a package reads when it fails to load: the innermost cause and where it is. */
    static String shortStack(Throwable thrown) {
        Throwable cause = thrown;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        StringBuilder text = new StringBuilder(cause.toString());
        frames(cause).stream().limit(FRAMES).forEach(frame -> text.append("\n").append(frame));
        return text.toString();
    }

    /** A thread's printed text, cut into lines. */
    private static final class Lines extends OutputStream {
        private final String level;
        private final ThreadLocal<java.io.ByteArrayOutputStream> begun =
                ThreadLocal.withInitial(java.io.ByteArrayOutputStream::new);

        Lines(String level) {
            this.level = level;
        }

        @Override
        public void write(int one) {
            java.io.ByteArrayOutputStream buffer = begun.get();
            if (one == '\n' || buffer.size() >= LONGEST_LINE) {
                String text = buffer.toString(StandardCharsets.UTF_8);
                buffer.reset();
                // A record already: whoever logs in a structure of their own keeps it.
                if (text.startsWith("{") && text.endsWith("}") && Json.isObject(text)) {
                    line(text);
                } else {
                    emit(level, "function", text, Map.of());
                }
            }
            if (one != '\n') {
                buffer.write(one);
            }
        }
    }

    private static final class FromLogging extends Handler {
        private final SimpleFormatter formatter = new SimpleFormatter();

        @Override
        public void publish(LogRecord record) {
            Map<String, Object> more = new LinkedHashMap<>();
            more.put("logger", record.getLoggerName());
            if (record.getThrown() != null) {
                more.put("error", record.getThrown().toString());
                more.put("traceback", userStack(record.getThrown()));
            }
            function(level(record.getLevel()), formatter.formatMessage(record), more);
        }

        private static String level(Level level) {
            if (level.intValue() >= Level.SEVERE.intValue()) {
                return "ERROR";
            }
            if (level.intValue() >= Level.WARNING.intValue()) {
                return "WARNING";
            }
            return level.intValue() >= Level.INFO.intValue() ? "INFO" : "DEBUG";
        }

        @Override
        public void flush() {
            // Every record is written whole.
        }

        @Override
        public void close() {
            // There is nothing to close.
        }
    }
}
