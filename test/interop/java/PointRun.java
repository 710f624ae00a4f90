// Runs every point against the servers at one address and prints one JSON line for each: name, ok, observed.
//   java PointRun NAMESRV[;NAMESRV] BROKER [REGEX]
// Points of the first phase run side by side; the later ones change servers for everybody and run one after another.
// A line that begins with @ asks the program that started the servers to do something (see Site.command).

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

public final class PointRun {
    private static final int AT_ONCE = 16;
    private static final long POINT_MILLIS = 100_000;

    private PointRun() {}

    public static void main(String[] arguments) throws Exception {
        Site site = new Site(arguments[0], arguments[1]);
        String chosen = arguments.length > 2 ? arguments[2] : ".*";
        site.start();
        PointList together = new PointList();
        // The longest first: the others fit beside them.
        RetryPoints.addTo(together);
        TransactionPoints.addTo(together);
        DelayPoints.addTo(together);
        OffsetPoints.addTo(together);
        GroupPoints.addTo(together);
        TracePoints.addTo(together);
        ReplyPoints.addTo(together);
        PullPoints.addTo(together);
        LitePullPoints.addTo(together);
        ConsumerPoints.addTo(together);
        SendPoints.addTo(together);
        HeaderPoints.addTo(together);
        BodyPoints.addTo(together);
        FilterPoints.addTo(together);
        QueryPoints.addTo(together);
        TopicPoints.addTo(together);
        AdminPoints.addTo(together);
        NameServerPoints.addTo(together);
        PointList alone = new PointList();
        BrokerWidePoints.addTo(alone);
        RestartPoints.addTo(alone);
        run(site, together, chosen, AT_ONCE);
        run(site, alone, chosen, 1);
        System.out.flush();
        // Clients keep threads for a while after their shutdown; nothing is left to do.
        Runtime.getRuntime().halt(0);
    }

    private static void run(Site site, PointList points, String chosen, int atOnce) throws Exception {
        ExecutorService workers = Executors.newFixedThreadPool(atOnce);
        ExecutorService watchers = Executors.newCachedThreadPool();
        List<Future<?>> ends = new ArrayList<>();
        for (Map.Entry<String, PointList.Body> point : points.bodies.entrySet()) {
            if (!point.getKey().matches(chosen)) continue;
            ends.add(workers.submit(() -> print(point.getKey(), watchers, () -> observe(site, point))));
        }
        for (Future<?> end : ends) end.get();
        workers.shutdownNow();
        watchers.shutdownNow();
    }

    private static Object observe(Site site, Map.Entry<String, PointList.Body> point) throws Exception {
        try (Point parts = new Point(site, point.getKey())) {
            return point.getValue().observe(parts);
        }
    }

    private static void print(String name, ExecutorService watchers, Callable<Object> body) {
        long from = System.nanoTime();
        Future<Object> observed = watchers.submit(body);
        boolean isOk = false;
        Object value;
        try {
            value = observed.get(POINT_MILLIS, TimeUnit.MILLISECONDS);
            isOk = true;
        } catch (ExecutionException thrown) {
            thrown.getCause().printStackTrace();
            value = Plain.failure(thrown.getCause());
        } catch (TimeoutException | InterruptedException thrown) {
            observed.cancel(true);
            value = "not done after " + POINT_MILLIS + " ms";
        }
        System.err.println(name + ": " + Wait.millisSince(from) + " ms");
        synchronized (System.out) {
            System.out.println(JSON.toJSONString(Plain.map("name", name, "ok", isOk, "observed", value),
                JSONWriter.Feature.WriteNonStringKeyAsString));
            System.out.flush();
        }
    }
}
