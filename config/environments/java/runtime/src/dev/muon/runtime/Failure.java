package dev.muon.runtime;

/** A load that cannot be done, as its sender or the author of the package reads it. */
final class Failure extends Exception {
    private static final long serialVersionUID = 1;

    final int status;
    final String reason;

    Failure(int status, String reason, String message) {
        super(message);
        this.status = status;
        this.reason = reason;
    }
}
