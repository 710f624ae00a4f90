// Message traces: what producer and consumer write to the trace topic, field by field.

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

final class TracePoints {
    private static final String TRACE_TOPIC = "RMQ_SYS_TRACE_TOPIC";

    private TracePoints() {}

    static void addTo(PointList points) {
        points.add("message trace", TracePoints::trace);
    }

    private static Object trace(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.site.awaitRoute(TRACE_TOPIC);
        DefaultMQProducer producer = point.newProducer("", null);
        producer.setEnableTrace(true);
        producer.start();
        producer.send(new Message(point.topic, "Tag", "key", Plain.bytes("traced")), point.queue(0));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.setEnableTrace(true);
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        inbox.await(1);
        List<String> records = new ArrayList<>();
        Wait.until("three records", () -> {
            records.clear();
            for (MessageExt message : point.readAll(point.queue(TRACE_TOPIC, 0))) {
                for (String record : Plain.body(message).split("\u0002")) {
                    if (record.contains(point.group) || record.contains("P-message-trace") || record.contains("key")) {
                        records.add(plain(record));
                    }
                }
            }
            return records.size() >= 3;
        });
        return Plain.sorted(records);
    }

    private static String plain(String record) {
        String[] fields = record.split("\u0001", -1);
        // Milliseconds that sending or consuming took.
        int cost = switch (fields[0]) {
            case "Pub" -> 10;
            case "SubAfter" -> 3;
            default -> -1;
        };
        if (cost >= 0) fields[cost] = "COST";
        return Plain.text(String.join(", ", fields));
    }
}
