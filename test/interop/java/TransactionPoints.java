// Transactions: committed, rolled back, and left open until the broker asks; what is never committed is never seen.

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

final class TransactionPoints {
    private TransactionPoints() {}

    static void addTo(PointList points) {
        points.add("transaction committed", point -> ended(point, LocalTransactionState.COMMIT_MESSAGE));
        points.add("transaction rolled back", point -> ended(point, LocalTransactionState.ROLLBACK_MESSAGE));
        points.add("transaction unknown, committed when asked", point -> asked(point, LocalTransactionState.COMMIT_MESSAGE));
        points.add("transaction unknown, rolled back when asked",
            point -> asked(point, LocalTransactionState.ROLLBACK_MESSAGE));
        points.add("transaction unknown twice, then committed", TransactionPoints::askedTwice);
    }

    /** Answers by the body of a message; counts what the broker asks. */
    private static final class Answers implements TransactionListener {
        final Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
        final Map<String, Object> firstAsked = new ConcurrentHashMap<>();
        private final LocalTransactionState first;
        private final java.util.function.IntFunction<LocalTransactionState> later;

        Answers(LocalTransactionState first, java.util.function.IntFunction<LocalTransactionState> later) {
            this.first = first;
            this.later = later;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return Plain.body(message).equals("marker") ? LocalTransactionState.COMMIT_MESSAGE : first;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String body = Plain.body(message);
            if (body.equals("marker")) return LocalTransactionState.COMMIT_MESSAGE;
            Map<String, Object> plain = Plain.message(message);
            plain.remove("queueOffset");
            firstAsked.putIfAbsent(body, plain);
            return later.apply(asked.computeIfAbsent(body, of -> new AtomicInteger()).incrementAndGet());
        }

        int count(String body) {
            AtomicInteger count = asked.get(body);
            return count == null ? 0 : count.get();
        }
    }

    private static Map<String, Object> sent(TransactionSendResult result) {
        Map<String, Object> plain = Plain.sent(result);
        // All points share the queue of half messages.
        plain.remove("queueOffset");
        plain.put("state", result.getLocalTransactionState().name());
        return plain;
    }

    private static Message message(Point point, String body) {
        Message message = new Message(point.topic, "Tag", "key", Plain.bytes(body));
        message.putUserProperty("colour", "blue");
        return message;
    }

    /** What is seen besides a marker that is committed afterwards. */
    private static List<Object> seen(Point point, TransactionMQProducer producer, Inbox inbox, int count) throws Exception {
        producer.sendMessageInTransaction(message(point, "marker"), null);
        return inbox.await(count + 1).stream().filter(each -> !Plain.body(each).equals("marker"))
            .<Object>map(each -> {
                Map<String, Object> plain = Plain.message(each);
                plain.remove("queueId");
                plain.remove("queueOffset");
                plain.put("hasPreparedOffset", each.getPreparedTransactionOffset() > 0);
                return plain;
            }).toList();
    }

    private static Object ended(Point point, LocalTransactionState state) throws Exception {
        point.site.createTopic(point.topic, 1);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        TransactionMQProducer producer = point.transactionProducer(new Answers(state, count -> state));
        TransactionSendResult result = producer.sendMessageInTransaction(message(point, "ended"), null);
        int count = state == LocalTransactionState.COMMIT_MESSAGE ? 1 : 0;
        if (count == 1) inbox.await(1);
        return Plain.map("sent", sent(result), "seen", seen(point, producer, inbox, count));
    }

    private static Object asked(Point point, LocalTransactionState state) throws Exception {
        point.site.createTopic(point.topic, 1);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        Answers answers = new Answers(LocalTransactionState.UNKNOW, count -> state);
        TransactionMQProducer producer = point.transactionProducer(answers);
        TransactionSendResult result = producer.sendMessageInTransaction(message(point, "open"), null);
        Wait.until("the broker to ask", () -> answers.count("open") > 0);
        int count = state == LocalTransactionState.COMMIT_MESSAGE ? 1 : 0;
        if (count == 1) inbox.await(1);
        return Plain.map("sent", sent(result), "asked", answers.firstAsked.get("open"),
            "seen", seen(point, producer, inbox, count));
    }

    private static Object askedTwice(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        Answers answers = new Answers(LocalTransactionState.UNKNOW,
            count -> count < 2 ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer producer = point.transactionProducer(answers);
        producer.sendMessageInTransaction(message(point, "open"), null);
        inbox.await(1);
        // How often it was asked before tells the property of the message.
        return seen(point, producer, inbox, 1);
    }
}
