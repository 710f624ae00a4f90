// Messages that come later: delay levels, any time of delivery, and the recall of what still waits.

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.header.RecallMessageRequestHeader;

final class DelayPoints {
    /** How late a message may come beside the precision of the timer, on a machine that has other things to do. */
    private static final long LATE_MILLIS = 4_000;

    private DelayPoints() {}

    static void addTo(PointList points) {
        points.add("delay levels", DelayPoints::levels);
        points.add("delay of any length", DelayPoints::anyDelay);
        points.add("delayed message recalled", DelayPoints::recall);
        points.add("recall refused, by code", DelayPoints::recallRefused);
    }

    private static Map<String, Object> arrived(MessageExt message, long delayMillis, long sentAt) {
        long after = message.getStoreTimestamp() - sentAt;
        Map<String, Object> plain = Plain.message(message);
        // Which of two messages that are due at the same time comes first is not promised.
        plain.remove("queueOffset");
        plain.put("isNotEarly", after >= delayMillis - 1_000);
        plain.put("isPrompt", after <= delayMillis + LATE_MILLIS);
        return plain;
    }

    private static Object levels(Point point) throws Exception {
        point.site.createTopic(point.topic, 4);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        long sentAt = System.currentTimeMillis();
        List<Object> sent = new ArrayList<>();
        // Level 2 is 3 s, level 1 is 1 s, what is above the last level is the last one: 2 s.
        for (int level : new int[] {2, 1, 99, 0}) {
            Message message = new Message(point.topic, "Tag", "key", Plain.bytes("level " + level));
            message.setDelayTimeLevel(level);
            Map<String, Object> result = Plain.sent(point.send(level % 4, message));
            // All points share the queues of the levels.
            if (level > 0) result.remove("queueOffset");
            sent.add(result);
        }
        Map<String, Object> received = new LinkedHashMap<>();
        Map<String, Long> delays = Map.of("level 2", 3_000L, "level 1", 1_000L, "level 99", 2_000L, "level 0", 0L);
        for (MessageExt each : inbox.await(4)) {
            received.put(Plain.body(each), arrived(each, delays.get(Plain.body(each)), sentAt));
        }
        return Plain.map("sent", sent, "order", byStoreTime(inbox.all()), "received", received);
    }

    /** In the order in which they became visible, which is not that of arrival from several queues. */
    private static List<String> byStoreTime(List<MessageExt> messages) {
        return messages.stream().sorted(Comparator.comparingLong(MessageExt::getStoreTimestamp)).map(Plain::body).toList();
    }

    private static Object anyDelay(Point point) throws Exception {
        point.site.createTopic(point.topic, 4);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        long sentAt = System.currentTimeMillis();
        Message seconds = new Message(point.topic, "Tag", "key", Plain.bytes("4 seconds"));
        seconds.setDelayTimeSec(4);
        Message millis = new Message(point.topic, Plain.bytes("1500 ms"));
        millis.setDelayTimeMs(1_500);
        Message at = new Message(point.topic, Plain.bytes("at a time"));
        at.setDeliverTimeMs(sentAt + 2_500);
        Message past = new Message(point.topic, Plain.bytes("in the past"));
        past.setDeliverTimeMs(sentAt - 10_000);
        List<Object> sent = new ArrayList<>();
        int queue = 0;
        for (Message message : List.of(seconds, millis, at, past)) {
            Map<String, Object> result = Plain.sent(point.send(queue++, message));
            // All points share the queue of the timer.
            if (message != past) result.remove("queueOffset");
            sent.add(result);
        }
        Message tooFar = new Message(point.topic, Plain.bytes("in a month"));
        tooFar.setDelayTimeSec(31L * 24 * 3600);
        Object refused = Plain.outcome(() -> Plain.sent(point.send(0, tooFar)));
        Map<String, Object> received = new LinkedHashMap<>();
        Map<String, Long> delays = Map.of("4 seconds", 4_000L, "1500 ms", 1_500L, "at a time", 2_500L, "in the past", 0L);
        for (MessageExt each : inbox.await(4)) {
            received.put(Plain.body(each), arrived(each, delays.get(Plain.body(each)), sentAt));
        }
        return Plain.map("sent", sent, "refused", refused, "received", received);
    }

    private static Object recall(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        Message recalled = new Message(point.topic, "Tag", "key", Plain.bytes("recalled"));
        recalled.setDelayTimeSec(5);
        Message marker = new Message(point.topic, "Tag", "key", Plain.bytes("comes"));
        marker.setDelayTimeSec(7);
        SendResult sent = point.send(0, recalled);
        point.send(1, marker);
        String id = point.producer().recallMessage(point.topic, sent.getRecallHandle());
        inbox.await(1);
        return Plain.map("id", id.equals(sent.getMsgId()) ? "of the message" : "another",
            "received", Plain.bodies(inbox.all()), "isNothingElse", point.admin.maxOffset(point.queue(0)) == 0);
    }

    private static Object recallRefused(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.site.createTopic(point.topic + "-other", 1);
        Message message = new Message(point.topic, Plain.bytes("waits"));
        message.setDelayTimeSec(1);
        SendResult sent = point.send(0, message);
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("other topic", ask(point, point.topic + "-other", sent.getRecallHandle()));
        seen.put("unknown topic", ask(point, "T-nowhere", sent.getRecallHandle()));
        seen.put("not a handle", ask(point, point.topic, "nonsense"));
        point.awaitOnly(point.queue(0));
        seen.put("delivered already", ask(point, point.topic, sent.getRecallHandle()));
        return seen;
    }

    private static Object ask(Point point, String topic, String handle) throws Exception {
        RecallMessageRequestHeader header = new RecallMessageRequestHeader();
        header.setTopic(topic);
        header.setRecallHandle(handle);
        header.setProducerGroup("P-raw");
        return point.site.answerOf(370, header, null);
    }
}
