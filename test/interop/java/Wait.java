// Waits for what a server brings about on its own, with a bound and with what was missing in the failure.

import java.util.concurrent.TimeoutException;

final class Wait {
    private static final long MOST_MILLIS = 30_000;
    private static final long STEP_MILLIS = 20;

    private Wait() {}

    interface Condition {
        boolean holds() throws Exception;
    }

    static void until(String what, Condition condition) throws Exception {
        until(what, MOST_MILLIS, condition);
    }

    static void until(String what, long mostMillis, Condition condition) throws Exception {
        long end = System.nanoTime() + mostMillis * 1_000_000;
        while (!condition.holds()) {
            if (System.nanoTime() > end) throw new TimeoutException("waited " + mostMillis + " ms for " + what);
            Thread.sleep(STEP_MILLIS);
        }
    }

    /** Milliseconds since a reading of System.nanoTime(). */
    static long millisSince(long nanos) {
        return (System.nanoTime() - nanos) / 1_000_000;
    }
}
