package dev.muon.build;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Runs a program with its words on stderr, where the errors of a build are looked for. */
final class Tool {
    private Tool() {}

    static void run(Path folder, List<String> words) throws IOException, BuildFailure {
        run(folder, words, Map.of());
    }

    static void run(Path folder, List<String> words, Map<String, String> environment) throws IOException, BuildFailure {
        ProcessBuilder builder = new ProcessBuilder(words).directory(folder.toFile()).redirectErrorStream(true);
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        process.getInputStream().transferTo(System.err);
        try {
            if (process.waitFor() != 0) {
                throw new BuildFailure(words.get(0) + " failed: see the lines above");
            }
        } catch (InterruptedException interrupted) {
            process.destroyForcibly();
            throw new BuildFailure("the build was interrupted");
        }
    }
}
