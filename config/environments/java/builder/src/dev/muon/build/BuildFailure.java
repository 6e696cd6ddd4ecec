package dev.muon.build;

/** The source cannot be built, for a reason that its author has to know. */
final class BuildFailure extends Exception {
    private static final long serialVersionUID = 1;

    BuildFailure(String message) {
        super(message);
    }
}
