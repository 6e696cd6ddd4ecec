package dev.muon.build;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Builds $SRC_PKG into $DEPLOY_PKG: a Maven project by its pom.xml, anything else by javac. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws IOException {
        String source = System.getenv("SRC_PKG");
        String target = System.getenv("DEPLOY_PKG");
        if (source == null || target == null || arguments.length != 1) {
            System.err.println("SRC_PKG and DEPLOY_PKG must name the source and the result; the argument, the folder of the API");
            System.exit(2);
        }
        Path work = Files.createTempDirectory("java-build-");
        int code = 0;
        try {
            build(Path.of(source), work, Path.of(target), Path.of(arguments[0]));
        } catch (BuildFailure failure) {
            System.err.println(failure.getMessage());
            code = 1;
        } finally {
            remove(work);
        }
        System.exit(code);
    }

    private static void build(Path source, Path work, Path target, Path api) throws IOException, BuildFailure {
        Path copy = work.resolve("source");
        Trees.copy(source, copy, file -> true);
        Files.createDirectories(target);
        if (Files.exists(copy.resolve("pom.xml"))) {
            new Maven(copy, work, api).build(target);
        } else if (Files.exists(copy.resolve("build.gradle")) || Files.exists(copy.resolve("build.gradle.kts"))) {
            throw new BuildFailure("Gradle is not in this builder: give a pom.xml, or a builder image of your own that has it");
        } else {
            compile(copy, target, api);
        }
    }

    /** Every source file in one go; jars of the source are on its class path, and go along. */
    private static void compile(Path source, Path target, Path api) throws IOException, BuildFailure {
        List<String> files = Trees.files(source, ".java");
        if (files.isEmpty()) {
            throw new BuildFailure("the source has no pom.xml and no .java file");
        }
        List<String> jars = Trees.files(source, ".jar");
        StringBuilder path = new StringBuilder(api.resolve("muon-function.jar").toAbsolutePath().toString());
        jars.forEach(jar -> path.append(':').append(jar));
        Path classes = target.resolve("classes").toAbsolutePath();
        Path list = source.resolve(".files");
        Files.write(list, files);
        // Errors name files as the author knows them: from the top of the source.
        Tool.run(source, List.of("javac", "-g", "-parameters", "-encoding", "UTF-8", "-Xlint:deprecation", "-cp", path.toString(),
                "-d", classes.toString(), "@" + list));
        Files.delete(list);
        for (String jar : jars) {
            Trees.copyFile(source.resolve(jar), target.resolve("lib").resolve(Path.of(jar).getFileName()));
        }
        Trees.copy(source, classes, file -> !file.endsWith(".java") && !file.endsWith(".jar"));
    }

    private static void remove(Path folder) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                Files.delete(path);
            }
        }
    }
}
