// Offsets of a group set by the admin tool: with the consumer on line and off line, the older way of setting them, by
// queue, and copied to another group.

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;

final class OffsetPoints {
    private OffsetPoints() {}

    static void addTo(PointList points) {
        points.add("offsets reset, consumer on line", OffsetPoints::onLine);
        points.add("offsets reset, consumer off line", OffsetPoints::offLine);
        points.add("offsets reset in the older way", OffsetPoints::olderWay);
        points.add("offset of one queue reset", OffsetPoints::oneQueue);
        points.add("offsets copied to another group", OffsetPoints::copied);
    }

    private static Map<String, Object> plain(Map<MessageQueue, Long> offsets) {
        Map<String, Object> plain = new TreeMap<>();
        offsets.forEach((queue, offset) -> plain.put("queue " + queue.getQueueId(), offset));
        return plain;
    }

    private static Map<String, Object> committed(Point point, String group) throws Exception {
        Map<String, Object> plain = new TreeMap<>();
        point.admin.examineConsumeStats(group).getOffsetTable().forEach((queue, offsets) -> {
            if (queue.getTopic().equals(point.topic)) plain.put("queue " + queue.getQueueId(), offsets.getConsumerOffset());
        });
        return plain;
    }

    private static void awaitCommitted(Point point, long each) throws Exception {
        Wait.until("the committed offsets", () ->
            committed(point, point.group).equals(Map.of("queue 0", each, "queue 1", each)));
    }

    private static DefaultMQPushConsumer consumeSix(Point point, Inbox inbox) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 6; n++) point.send(n % 2, "m" + n);
        DefaultMQPushConsumer consumer = point.consume("*", inbox);
        inbox.await(6);
        awaitCommitted(point, 3);
        return consumer;
    }

    private static Object onLine(Point point) throws Exception {
        Inbox inbox = new Inbox();
        consumeSix(point, inbox);
        Object reset = plain(point.admin.resetOffsetByTimestamp(point.topic, point.group, 0, true));
        List<String> again = Plain.sortedBodies(inbox.await(12).subList(6, 12));
        awaitCommitted(point, 3);
        for (int n = 6; n < 8; n++) point.send(n % 2, "m" + n);
        List<String> rest = Plain.sortedBodies(inbox.await(14).subList(12, 14));
        return Plain.map("reset", reset, "again", again, "rest", rest);
    }

    private static Object offLine(Point point) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumeSix(point, inbox);
        consumer.shutdown();
        Object reset = Plain.outcome(() -> plain(point.admin.resetOffsetByTimestamp(point.topic, point.group, 0, true)));
        Object after = committed(point, point.group);
        Inbox next = new Inbox();
        DefaultMQPushConsumer another = point.newConsumer(point.group, "-next", null);
        another.subscribe(point.topic, "*");
        another.registerMessageListener(next.concurrently());
        another.start();
        return Plain.map("reset", reset, "committed", after, "again", Plain.sortedBodies(next.await(6)));
    }

    private static Object olderWay(Point point) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumeSix(point, inbox);
        consumer.shutdown();
        List<Object> rollbacks = point.admin.resetOffsetByTimestampOld(point.group, point.topic, 0, true).stream()
            .sorted((a, b) -> Long.compare(a.getQueueId(), b.getQueueId()))
            .<Object>map(each -> Plain.map("queue", each.getQueueId(), "broker", each.getBrokerOffset(),
                "consumer", each.getConsumerOffset(), "timestamp", each.getTimestampOffset(),
                "rollback", each.getRollbackOffset())).toList();
        return Plain.map("rollbacks", rollbacks, "committed", committed(point, point.group));
    }

    private static Object oneQueue(Point point) throws Exception {
        Inbox inbox = new Inbox();
        consumeSix(point, inbox).shutdown();
        point.admin.resetOffsetByQueueId(point.site.brokerAddr, point.group, point.topic, 1, 1);
        Inbox next = new Inbox();
        DefaultMQPushConsumer another = point.newConsumer(point.group, "-next", null);
        another.subscribe(point.topic, "*");
        another.registerMessageListener(next.concurrently());
        another.start();
        return Plain.map("committed", committed(point, point.group), "again", Plain.sortedBodies(next.await(2)));
    }

    private static Object offset(Point point, String group, int queueId) throws Exception {
        QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(point.topic);
        header.setQueueId(queueId);
        return Plain.outcome(() -> point.site.client().getMQClientAPIImpl()
            .queryConsumerOffset(point.site.brokerAddr, header, 10_000));
    }

    private static Object copied(Point point) throws Exception {
        Inbox inbox = new Inbox();
        consumeSix(point, inbox);
        String copy = point.group + "-copy";
        Object onLine = Plain.outcome(() -> {
            point.admin.cloneGroupOffset(point.group, copy, point.topic, false);
            return "copied";
        });
        return Plain.map("copied", onLine, "offsets", List.of(offset(point, copy, 0), offset(point, copy, 1)));
    }
}
