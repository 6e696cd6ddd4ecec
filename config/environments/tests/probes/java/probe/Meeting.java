package probe;

import java.util.concurrent.CountDownLatch;

/** Lets nobody go before all are there. */
final class Meeting {
    private final CountDownLatch missing;

    Meeting(int size) {
        missing = new CountDownLatch(size);
    }

    void join() throws InterruptedException {
        missing.countDown();
        missing.await();
    }
}
