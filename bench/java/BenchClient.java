// A load client for any broker that speaks RocketMQ remoting, for bench/compareBroker.ts: one JVM for a whole run, so that
// all brokers meet the same warm client. It reads a command a line (`name key=value ...`) from standard input and answers
// each with one line of JSON: what was done between the end of the lead-in and the end of the sample, the CPU time that
// the processes of `pids` and this one took meanwhile, and latencies. `ns` is the name server; clients of one name server
// are kept from command to command. A command that fails answers {"error": ...}.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

@SuppressWarnings("deprecation")
public final class BenchClient {
    private static final double NANOS = 1e9;
    private static final AtomicLong NAMES = new AtomicLong();
    private static final Map<String, DefaultMQProducer> PRODUCERS = new ConcurrentHashMap<>();
    private static final Map<String, TransactionMQProducer> TRANSACTIONS = new ConcurrentHashMap<>();
    private static final Map<String, DefaultMQPullConsumer> PULLERS = new ConcurrentHashMap<>();

    /** One line of input. */
    private static final class Command {
        final String name;
        private final Map<String, String> options = new HashMap<>();

        Command(String line) {
            String[] words = line.trim().split(" +");
            name = words[0];
            for (String word : Arrays.asList(words).subList(1, words.length)) {
                int at = word.indexOf('=');
                options.put(word.substring(0, at), word.substring(at + 1));
            }
        }

        String text(String option) {
            String value = options.get(option);
            if (value == null) throw new IllegalArgumentException(name + " wants " + option + "=");
            return value;
        }

        int number(String option) {
            return Integer.parseInt(text(option));
        }

        double seconds(String option) {
            return Double.parseDouble(text(option));
        }
    }

    /** Latencies in microseconds: exact below 128, above with 64 steps for each power of two. */
    private static final class Latencies {
        private final AtomicLongArray counts = new AtomicLongArray(64 * 40);

        void add(long nanos) {
            long micros = nanos / 1000;
            int shift = Math.max(0, 57 - Long.numberOfLeadingZeros(Math.max(1, micros)));
            counts.incrementAndGet(Math.min(counts.length() - 1, shift * 64 + (int) (micros >>> shift)));
        }

        double millis(double quantile) {
            long total = 0;
            for (int index = 0; index < counts.length(); index++) total += counts.get(index);
            long left = (long) Math.ceil(total * quantile);
            for (int index = 0; index < counts.length(); index++) {
                left -= counts.get(index);
                if (total > 0 && left <= 0) {
                    int shift = Math.max(0, index / 64 - 1);
                    return ((long) (index - shift * 64) << shift) / 1000.0;
                }
            }
            return -1;
        }
    }

    /** What one sample counts: from the end of the lead-in to the end of the time, or between two calls. */
    private static final class Sample {
        final LongAdder count = new LongAdder();
        final LongAdder failed = new LongAdder();
        final Latencies latencies = new Latencies();
        final AtomicReference<String> firstError = new AtomicReference<>();
        final long from;
        final long to;
        private final String pids;
        private double[] before;
        private double[] after;

        Sample(Command command, double leadSeconds, double seconds) {
            pids = command.text("pids");
            from = System.nanoTime() + (long) (leadSeconds * NANOS);
            to = from + (long) (seconds * NANOS);
        }

        Sample(Command command) {
            this(command, command.seconds("lead"), command.seconds("seconds"));
        }

        boolean isOver() {
            return System.nanoTime() >= to;
        }

        /** Counts what ended within the sample. */
        void done(long beganAt, int messages) {
            long now = System.nanoTime();
            if (now < from || now >= to) return;
            count.add(messages);
            latencies.add(now - beganAt);
        }

        void fail(Throwable thrown) {
            failed.increment();
            firstError.compareAndSet(null, String.valueOf(thrown));
        }

        void begin() throws Exception {
            before = cpuMillis(pids);
        }

        void end() throws Exception {
            after = cpuMillis(pids);
        }

        /** The main thread's part: reads the CPU time at both ends. */
        void watch() throws Exception {
            sleepUntil(from);
            begin();
            sleepUntil(to);
            end();
        }

        Map<String, Object> found(long messages, double millis) {
            Map<String, Object> found = new LinkedHashMap<>();
            found.put("count", messages);
            found.put("millis", millis);
            found.put("serverCpuMillis", after[0] - before[0]);
            found.put("clientCpuMillis", after[1] - before[1]);
            found.put("p50Millis", latencies.millis(0.5));
            found.put("p99Millis", latencies.millis(0.99));
            found.put("failed", failed.sum());
            if (firstError.get() != null) found.put("firstError", firstError.get());
            return found;
        }

        Map<String, Object> found() {
            return found(count.sum(), (to - from) / 1e6);
        }
    }

    /** User and system time so far: of the processes, and of this one. Linux counts in 1/100 s. */
    private static double[] cpuMillis(String pids) throws Exception {
        double servers = 0;
        for (String pid : pids.split(",")) {
            String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
            // Behind the name in parentheses, which may hold blanks.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            servers += (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) * 10.0;
        }
        var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        return new double[] {servers, system.getProcessCpuTime() / 1e6};
    }

    private static void sleepUntil(long time) {
        for (long left = time - System.nanoTime(); left > 0; left = time - System.nanoTime()) LockSupport.parkNanos(left);
    }

    private static String uniqueName(String prefix) {
        return prefix + ProcessHandle.current().pid() + "_" + NAMES.incrementAndGet();
    }

    private static byte[] body(int bytes) {
        byte[] body = new byte[bytes];
        Random random = new Random(bytes);
        for (int index = 0; index < bytes; index++) body[index] = (byte) (' ' + random.nextInt(95));
        return body;
    }

    /** Nothing is sent twice: a failed send counts as failed. */
    private static <P extends DefaultMQProducer> P started(P producer, String nameServer, int timeoutMillis) throws Exception {
        producer.setNamesrvAddr(nameServer);
        producer.setInstanceName(uniqueName("producer"));
        producer.setRetryTimesWhenSendFailed(0);
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.setSendMsgTimeout(timeoutMillis);
        producer.start();
        return producer;
    }

    private static DefaultMQProducer producer(String nameServer) throws Exception {
        DefaultMQProducer known = PRODUCERS.get(nameServer);
        if (known != null) return known;
        DefaultMQProducer producer = started(new DefaultMQProducer(uniqueName("bench_producer_")), nameServer, 5000);
        PRODUCERS.put(nameServer, producer);
        return producer;
    }

    /** The first message of a topic makes it; that takes a moment. */
    private static void ensureTopic(DefaultMQProducer producer, String topic) throws Exception {
        for (int attempt = 0; ; attempt++) {
            try {
                if (producer.getDefaultMQProducerImpl().getTopicPublishInfoTable().containsKey(topic)) return;
                producer.send(new Message(topic, "first", body(16)));
                return;
            } catch (Exception thrown) {
                if (attempt == 40) throw thrown;
                Thread.sleep(250);
            }
        }
    }

    private static List<Thread> threads(int count, Runnable work) {
        List<Thread> threads = new ArrayList<>();
        for (int index = 0; index < count; index++) threads.add(new Thread(work));
        threads.forEach(Thread::start);
        return threads;
    }

    private static void joinAll(List<Thread> threads) throws InterruptedException {
        for (Thread thread : threads) thread.join();
    }

    /** `threads` senders, each with one request under way: a message, or a batch of them. */
    private static Map<String, Object> send(Command command) throws Exception {
        DefaultMQProducer producer = producer(command.text("ns"));
        String topic = command.text("topic");
        int batch = command.number("batch");
        byte[] body = body(command.number("body"));
        ensureTopic(producer, topic);
        Sample sample = new Sample(command);
        List<Thread> senders = threads(command.number("threads"), () -> {
            while (!sample.isOver()) {
                long beganAt = System.nanoTime();
                try {
                    SendResult result = batch == 1 ? producer.send(new Message(topic, body)) : producer.send(messages(topic, body, batch));
                    if (result.getSendStatus() == SendStatus.SEND_OK) sample.done(beganAt, batch);
                    else sample.fail(new IllegalStateException(result.getSendStatus().name()));
                } catch (Exception thrown) {
                    sample.fail(thrown);
                }
            }
        });
        sample.watch();
        joinAll(senders);
        return sample.found();
    }

    private static List<Message> messages(String topic, byte[] body, int count) {
        List<Message> messages = new ArrayList<>(count);
        for (int index = 0; index < count; index++) messages.add(new Message(topic, body));
        return messages;
    }

    /** One sender that does not wait for answers as long as fewer than `inFlight` are missing. */
    private static Map<String, Object> sendAsync(Command command) throws Exception {
        DefaultMQProducer producer = producer(command.text("ns"));
        String topic = command.text("topic");
        byte[] body = body(command.number("body"));
        ensureTopic(producer, topic);
        int inFlight = command.number("inFlight");
        Semaphore places = new Semaphore(inFlight);
        Sample sample = new Sample(command);
        List<Thread> senders = threads(1, () -> {
            while (!sample.isOver()) {
                places.acquireUninterruptibly();
                long beganAt = System.nanoTime();
                try {
                    producer.send(new Message(topic, body), new SendCallback() {
                        @Override
                        public void onSuccess(SendResult result) {
                            places.release();
                            sample.done(beganAt, 1);
                        }

                        @Override
                        public void onException(Throwable thrown) {
                            places.release();
                            sample.fail(thrown);
                        }
                    });
                } catch (Exception thrown) {
                    places.release();
                    sample.fail(thrown);
                }
            }
        });
        sample.watch();
        joinAll(senders);
        places.acquire(inFlight);
        return sample.found();
    }

    /** Exactly `count` messages, in batches; with `keys=1` one at a time, each with a key of its own. */
    private static Map<String, Object> fill(Command command) throws Exception {
        DefaultMQProducer producer = producer(command.text("ns"));
        String topic = command.text("topic");
        byte[] body = body(command.number("body"));
        ensureTopic(producer, topic + "Before");
        AtomicLong next = new AtomicLong();
        int count = command.number("count");
        int step = command.number("keys") == 1 ? 1 : 32;
        AtomicReference<Throwable> failure = new AtomicReference<>();
        joinAll(threads(4, () -> {
            for (long at = next.getAndAdd(step); at < count && failure.get() == null; at = next.getAndAdd(step)) {
                List<Message> messages = messages(topic, body, (int) Math.min(step, count - at));
                if (step == 1) messages.get(0).setKeys("key-" + at);
                fillOne(producer, messages, failure);
            }
        }));
        if (failure.get() != null) throw new IllegalStateException("filling " + topic, failure.get());
        return new LinkedHashMap<>(Map.of("count", count));
    }

    /** Filling is not measured: a broker that is busy is asked again, within bounds. */
    private static void fillOne(DefaultMQProducer producer, List<Message> messages, AtomicReference<Throwable> failure) {
        for (int attempt = 0; ; attempt++) {
            try {
                SendResult result = messages.size() == 1 ? producer.send(messages.get(0)) : producer.send(messages);
                if (result.getSendStatus() == SendStatus.SEND_OK) return;
                throw new IllegalStateException(result.getSendStatus().name());
            } catch (Exception thrown) {
                if (attempt == 100) {
                    failure.set(thrown);
                    return;
                }
                LockSupport.parkNanos(10_000_000);
            }
        }
    }

    private static DefaultMQPushConsumer pushConsumer(String nameServer, String topic, MessageListenerConcurrently listener)
            throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(uniqueName("bench_consumer_"));
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(uniqueName("consumer"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        return consumer;
    }

    /** A new group drinks a topic of `count` messages; the rate is from the first to the last. */
    private static Map<String, Object> consume(Command command) throws Exception {
        long wanted = command.number("count");
        AtomicLong got = new AtomicLong();
        AtomicLong first = new AtomicLong();
        AtomicLong last = new AtomicLong();
        CountDownLatch all = new CountDownLatch(1);
        Sample sample = new Sample(command, 0, 0);
        DefaultMQPushConsumer consumer = pushConsumer(command.text("ns"), command.text("topic"), (messages, context) -> {
            long now = System.nanoTime();
            first.compareAndSet(0, now);
            last.set(now);
            if (got.addAndGet(messages.size()) >= wanted) all.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        sample.begin();
        consumer.start();
        if (!all.await(120, TimeUnit.SECONDS)) sample.fail(new IllegalStateException(got.get() + " of " + wanted + " came"));
        sample.end();
        consumer.shutdown();
        return sample.found(got.get(), (last.get() - first.get()) / 1e6);
    }

    private static DefaultMQPullConsumer puller(String nameServer) throws Exception {
        DefaultMQPullConsumer known = PULLERS.get(nameServer);
        if (known != null) return known;
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(uniqueName("bench_puller_"));
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(uniqueName("puller"));
        consumer.start();
        PULLERS.put(nameServer, consumer);
        return consumer;
    }

    /** One pull of `size` messages after the other, through all queues of a topic, again and again. */
    private static Map<String, Object> pull(Command command) throws Exception {
        DefaultMQPullConsumer consumer = puller(command.text("ns"));
        int size = command.number("size");
        List<MessageQueue> queues = new ArrayList<>(consumer.fetchSubscribeMessageQueues(command.text("topic")));
        long[] ends = new long[queues.size()];
        for (int index = 0; index < ends.length; index++) ends[index] = consumer.maxOffset(queues.get(index));
        Sample sample = new Sample(command);
        List<Thread> pullers = threads(1, () -> {
            try {
                for (int at = 0; !sample.isOver(); at = (at + 1) % ends.length) {
                    for (long offset = 0; offset < ends[at] && !sample.isOver(); ) {
                        long beganAt = System.nanoTime();
                        PullResult result = consumer.pull(queues.get(at), "*", offset, size);
                        sample.done(beganAt, result.getMsgFoundList() == null ? 0 : result.getMsgFoundList().size());
                        if (result.getNextBeginOffset() <= offset) throw new IllegalStateException(result.getPullStatus().name());
                        offset = result.getNextBeginOffset();
                    }
                }
            } catch (Exception thrown) {
                sample.fail(thrown);
            }
        });
        sample.watch();
        joinAll(pullers);
        return sample.found();
    }

    /** One query after the other, each by one of `count` keys. */
    private static Map<String, Object> query(Command command) throws Exception {
        DefaultMQProducer producer = producer(command.text("ns"));
        String topic = command.text("topic");
        int count = command.number("count");
        long begin = System.currentTimeMillis() - 3_600_000;
        long end = System.currentTimeMillis() + 3_600_000;
        Random random = new Random(count);
        Sample sample = new Sample(command);
        List<Thread> askers = threads(1, () -> {
            while (!sample.isOver()) {
                String key = "key-" + random.nextInt(count);
                long beganAt = System.nanoTime();
                try {
                    List<MessageExt> found = producer.queryMessage(topic, key, 32, begin, end).getMessageList();
                    if (found.size() != 1 || !key.equals(found.get(0).getKeys())) throw new IllegalStateException(key + " is another");
                    sample.done(beganAt, 1);
                } catch (Exception thrown) {
                    sample.fail(thrown);
                }
            }
        });
        sample.watch();
        joinAll(askers);
        return sample.found();
    }

    /** `rate` messages a second, each at its time; the latency is from the call of send to that of the listener. */
    private static Map<String, Object> endToEnd(Command command) throws Exception {
        DefaultMQProducer producer = producer(command.text("ns"));
        String topic = uniqueName("BenchEndToEnd");
        ensureTopic(producer, topic);
        byte[] template = body(command.number("body"));
        AtomicLong came = new AtomicLong();
        CountDownLatch listens = new CountDownLatch(1);
        AtomicReference<Sample> current = new AtomicReference<>();
        DefaultMQPushConsumer consumer = pushConsumer(command.text("ns"), topic, (messages, context) -> {
            long now = System.nanoTime();
            for (MessageExt message : messages) {
                listens.countDown();
                if ("first".equals(message.getTags())) continue;
                ByteBuffer body = ByteBuffer.wrap(message.getBody());
                long sentAt = body.getLong();
                if (body.get() == 0) continue;
                came.incrementAndGet();
                current.get().latencies.add(now - sentAt);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        awaitFirst(producer, topic, listens);
        Sample sample = new Sample(command);
        current.set(sample);
        int rate = command.number("rate");
        long step = (long) (NANOS / rate);
        long sent = 0;
        SendCallback callback = new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {}

            @Override
            public void onException(Throwable thrown) {
                sample.fail(thrown);
            }
        };
        for (long due = System.nanoTime(); due < sample.to; due += step) {
            sleepUntil(due);
            boolean isCounted = due >= sample.from;
            if (isCounted && sent == 0) sample.begin();
            if (isCounted) sent += 1;
            byte[] body = template.clone();
            ByteBuffer.wrap(body).putLong(System.nanoTime()).put((byte) (isCounted ? 1 : 0));
            producer.send(new Message(topic, body), callback);
        }
        for (int attempt = 0; attempt < 1000 && came.get() < sent; attempt++) Thread.sleep(10);
        sample.end();
        consumer.shutdown();
        Map<String, Object> found = sample.found(came.get(), (sample.to - sample.from) / 1e6);
        found.put("failed", sample.failed.sum() + sent - came.get());
        return found;
    }

    /** A broker that was stopped for long may have dropped the consumer's connection: it comes back with its next heartbeat. */
    private static void awaitFirst(DefaultMQProducer producer, String topic, CountDownLatch listens) throws Exception {
        for (int attempt = 0; attempt < 24; attempt++) {
            if (listens.await(5, TimeUnit.SECONDS)) return;
            producer.send(new Message(topic, "first", new byte[] {1}));
        }
        throw new IllegalStateException("the consumer of " + topic + " got nothing");
    }

    /** Sends until the first message is acknowledged, from before the servers listen. */
    private static Map<String, Object> first(Command command) throws Exception {
        DefaultMQProducer producer = started(new DefaultMQProducer(uniqueName("bench_first_")), command.text("ns"), 500);
        long until = System.nanoTime() + (long) (90 * NANOS);
        try {
            for (Exception last = null; ; ) {
                try {
                    if (producer.send(new Message("BenchFirst", body(16))).getSendStatus() == SendStatus.SEND_OK) break;
                } catch (Exception thrown) {
                    last = thrown;
                }
                if (System.nanoTime() > until) throw last;
                LockSupport.parkNanos(5_000_000);
            }
            return new LinkedHashMap<>(Map.of("count", 1));
        } finally {
            producer.shutdown();
        }
    }

    /** `count` transactional messages, all committed. */
    private static Map<String, Object> transact(Command command) throws Exception {
        String nameServer = command.text("ns");
        TransactionMQProducer producer = TRANSACTIONS.get(nameServer);
        if (producer == null) {
            producer = new TransactionMQProducer(uniqueName("bench_transactions_"));
            producer.setTransactionListener(new TransactionListener() {
                @Override
                public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                    return LocalTransactionState.COMMIT_MESSAGE;
                }

                @Override
                public LocalTransactionState checkLocalTransaction(MessageExt message) {
                    return LocalTransactionState.COMMIT_MESSAGE;
                }
            });
            TRANSACTIONS.put(nameServer, started(producer, nameServer, 5000));
        }
        ensureTopic(producer, "BenchTransactions");
        int count = command.number("count");
        for (int index = 0; index < count; index++) {
            producer.sendMessageInTransaction(new Message("BenchTransactions", body(128)), null);
        }
        return new LinkedHashMap<>(Map.of("count", count));
    }

    /** Forgets the clients of a name server that is about to end. */
    private static Map<String, Object> leave(Command command) {
        String nameServer = command.text("ns");
        DefaultMQPullConsumer puller = PULLERS.remove(nameServer);
        if (puller != null) puller.shutdown();
        for (var producers : List.of(PRODUCERS, TRANSACTIONS)) {
            DefaultMQProducer producer = producers.remove(nameServer);
            if (producer != null) producer.shutdown();
        }
        return new LinkedHashMap<>(Map.of("count", 0));
    }

    private static Map<String, Object> run(Command command) throws Exception {
        return switch (command.name) {
            case "send" -> send(command);
            case "sendAsync" -> sendAsync(command);
            case "fill" -> fill(command);
            case "consume" -> consume(command);
            case "pull" -> pull(command);
            case "query" -> query(command);
            case "endToEnd" -> endToEnd(command);
            case "first" -> first(command);
            case "transact" -> transact(command);
            case "leave" -> leave(command);
            default -> throw new IllegalArgumentException("unknown command " + command.name);
        };
    }

    private static String json(Map<String, Object> found) {
        StringBuilder text = new StringBuilder("{");
        found.forEach((name, value) -> {
            if (text.length() > 1) text.append(',');
            text.append('"').append(name).append("\":");
            if (value instanceof Number) text.append(value);
            else text.append('"').append(String.valueOf(value).replaceAll("[\\p{Cntrl}\"\\\\]+", " ")).append('"');
        });
        return text.append('}').toString();
    }

    public static void main(String[] arguments) throws Exception {
        // Libraries may print; answers alone go to the real standard output.
        PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Map<String, Object> found;
            try {
                found = run(new Command(line));
            } catch (Throwable thrown) {
                found = new LinkedHashMap<>(Map.of("error", thrown + (thrown.getCause() == null ? "" : ": " + thrown.getCause())));
            }
            answers.println(json(found));
        }
        // Brokers may be gone: an orderly shutdown of clients would wait for them.
        Runtime.getRuntime().halt(0);
    }

    private BenchClient() {}
}
