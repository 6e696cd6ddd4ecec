package dev.muon.build;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Plain files of directory trees; links, and what begins with a dot, are not looked at. */
final class Trees {
    private Trees() {}

    static void copy(Path from, Path to, Predicate<String> wanted) throws IOException {
        Files.createDirectories(to);
        for (String file : files(from, "")) {
            if (wanted.test(file)) {
                copyFile(from.resolve(file), to.resolve(file));
            }
        }
    }

    static void copyFile(Path from, Path to) throws IOException {
        Files.createDirectories(to.getParent());
        Files.copy(from, to, StandardCopyOption.REPLACE_EXISTING);
        to.toFile().setWritable(true);
    }

    /** The files below a folder that end like this, from that folder on, in order. */
    static List<String> files(Path folder, String ending) throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(Files::isRegularFile)
                    .filter(file -> !Files.isSymbolicLink(file))
                    .map(file -> folder.relativize(file).toString())
                    .filter(file -> file.endsWith(ending) && !file.startsWith(".") && !file.contains("/."))
                    .sorted()
                    .toList();
        }
    }
}
