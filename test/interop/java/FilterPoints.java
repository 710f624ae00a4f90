// Choosing messages: tags and lists of them, SQL92 with its rules for what is absent, several subscriptions in a group,
// and a subscription that changes while the consumer runs.

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.message.Message;

final class FilterPoints {
    private static final List<String> EXPRESSIONS = List.of(
        "status = 1", "status = '1'", "status = 1.0", "status = 1L", "(status = 1)", "status > 0", "status >= 1",
        "status < 2", "status <= 1", "status <> 2", "status BETWEEN 0 AND 5", "status NOT BETWEEN 0 AND 0",
        "status BETWEEN 5 AND 0", "price = 2.5", "price < 3", "price < 3.0", "price > 2.4", "name = 5", "name > 5",
        "name = 'abc'", "name <> 'abd'", "name > 'abb'", "name IN ('abc', 'x')", "name NOT IN ('x')",
        "name CONTAINS 'b'", "name NOT CONTAINS 'b'", "name STARTSWITH 'ab'", "name ENDSWITH 'bc'",
        "name NOT STARTSWITH 'b'", "missing = 1", "missing <> 1", "NOT (missing = 1)", "missing IN ('a')",
        "missing NOT IN ('a')", "missing IS NULL", "missing IS NOT NULL", "name IS NOT NULL", "missing CONTAINS 'a'",
        "missing NOT CONTAINS 'a'", "missing = 1 OR status = 1", "status = 1 AND missing > 2",
        "missing = 1 AND status = 2", "NOT (missing > 1 AND status = 1)", "flag = TRUE", "flag", "NOT flag = TRUE",
        "NOT status = 2", "NOT (status = 2)", "1 = 1", "TRUE", "FALSE OR TRUE", "status IN (1,2)", "missing = NULL",
        "NULL = NULL", "status != 2", "status + 1 = 2", "status like 'a%'", "Status = 1", "TAGS = 'Tag'",
        "KEYS = 'key'", "status = 1 -- remark", "status /* remark */ = 1", "name = 'it''s'", "status = -1", "= 1",
        "a = 'b", "status = 9223372036854775807", "status = 9223372036854775808", "price = 2.5E0",
        "status = 1 or missing = 1 and status = 2", "status between 1 and 1 and name = 'abc'");

    private FilterPoints() {}

    static void addTo(PointList points) {
        points.add("tag and list of tags", FilterPoints::tags);
        points.add("SQL92 expressions, and what is absent", FilterPoints::sql);
        points.add("SQL92 expressions that cannot be compiled", FilterPoints::badSql);
        points.add("SQL92 in a push consumer", FilterPoints::sqlPush);
        points.add("several subscriptions in a group", FilterPoints::several);
        points.add("subscription changed while running", FilterPoints::changed);
    }

    private static Object tags(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 12; n++) {
            point.send(n % 2, new Message(point.topic, List.of("A", "B", "C").get(n % 3), Plain.bytes("m" + n)));
        }
        // The same hash as Java's "BB": the broker cannot tell them apart, the client can.
        point.send(0, new Message(point.topic, "Aa", Plain.bytes("Aa")));
        point.send(0, new Message(point.topic, "BB", Plain.bytes("BB")));
        point.send(0, new Message(point.topic, Plain.bytes("no tag")));
        Map<String, Object> seen = new LinkedHashMap<>();
        Map<String, Integer> counts = new LinkedHashMap<>();
        counts.put("A", 4);
        counts.put("A || B", 8);
        counts.put(" C||A || nobody ", 8);
        counts.put("BB", 1);
        counts.put("*", 15);
        Map<String, Inbox> inboxes = new LinkedHashMap<>();
        for (String expression : counts.keySet()) {
            Inbox inbox = new Inbox();
            DefaultMQPushConsumer consumer = point.newConsumer(point.group + "-" + inboxes.size(), "", null);
            consumer.subscribe(point.topic, expression);
            consumer.registerMessageListener(inbox.concurrently());
            consumer.start();
            inboxes.put(expression, inbox);
        }
        for (Map.Entry<String, Integer> count : counts.entrySet()) {
            inboxes.get(count.getKey()).await(count.getValue());
        }
        inboxes.forEach((expression, inbox) -> seen.put(expression, Plain.sortedBodies(inbox.all())));
        return seen;
    }

    private static Message labelled(Point point) {
        Message message = new Message(point.topic, "Tag", "key", Plain.bytes("labelled"));
        message.putUserProperty("status", "1");
        message.putUserProperty("price", "2.5");
        message.putUserProperty("name", "abc");
        message.putUserProperty("flag", "true");
        return message;
    }

    private static Object sql(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, labelled(point));
        point.send(0, "plain");
        Map<String, Object> seen = new LinkedHashMap<>();
        for (String expression : EXPRESSIONS) {
            seen.put(expression, Plain.outcome(() -> {
                PullResult result = point.puller().pull(point.queue(0), MessageSelector.bySql(expression), 0, 32);
                return result.getPullStatus() + " "
                    + (result.getMsgFoundList() == null ? "" : Plain.bodies(result.getMsgFoundList()));
            }));
        }
        return seen;
    }

    private static Object badSql(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Map<String, Object> seen = new LinkedHashMap<>();
        for (String expression : List.of("status > 'abb'", "status BETWEEN 5 AND 0", "missing = NULL", "status != 2", "= 1",
            "status = 1")) {
            DefaultMQPushConsumer consumer = point.newConsumer(point.group + "-" + seen.size(), "", null);
            consumer.subscribe(point.topic, MessageSelector.bySql(expression));
            consumer.registerMessageListener(new Inbox().concurrently());
            seen.put(expression, Plain.outcome(() -> {
                consumer.start();
                return "started";
            }) instanceof Map<?, ?> failure ? failure.toString() : "started");
        }
        return seen;
    }

    private static Object sqlPush(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.subscribe(point.topic, MessageSelector.bySql("number BETWEEN 3 AND 6 AND TAGS = 'even'"));
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        for (int n = 0; n < 10; n++) {
            Message message = new Message(point.topic, n % 2 == 0 ? "even" : "odd", Plain.bytes("m" + n));
            message.putUserProperty("number", String.valueOf(n));
            point.send(n % 2, message);
        }
        inbox.await(2);
        return Plain.sortedBodies(inbox.all());
    }

    private static Object several(Point point) throws Exception {
        String[] topics = {point.topic + "-1", point.topic + "-2", point.topic + "-3"};
        for (String topic : topics) point.site.createTopic(topic, 2);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.subscribe(topics[0], "A");
        consumer.subscribe(topics[1], "*");
        consumer.subscribe(topics[2], MessageSelector.bySql("n = 1"));
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        for (int topic = 0; topic < 3; topic++) {
            for (int n = 0; n < 4; n++) {
                Message message = new Message(topics[topic], n % 2 == 0 ? "A" : "B", Plain.bytes("t" + topic + "m" + n));
                message.putUserProperty("n", String.valueOf(n));
                point.send(n % 2, message);
            }
        }
        inbox.await(7);
        return Plain.sortedBodies(inbox.all());
    }

    private static Object changed(Point point) throws Exception {
        String second = point.topic + "-2";
        point.site.createTopic(point.topic, 1);
        point.site.createTopic(second, 1);
        point.send(0, new Message(point.topic, "A", Plain.bytes("first")));
        point.send(0, new Message(second, "B", Plain.bytes("second")));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.consume("A", inbox);
        inbox.await(1);
        consumer.subscribe(second, "B");
        inbox.await(2);
        consumer.unsubscribe(point.topic);
        Wait.until("the subscription to be gone at the broker", () -> {
            consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
            return !point.admin.examineConsumerConnectionInfo(point.group).getSubscriptionTable().containsKey(point.topic);
        });
        return Plain.map("received", Plain.bodies(inbox.all()), "subscribed",
            Plain.sorted(point.admin.examineConsumerConnectionInfo(point.group).getSubscriptionTable().keySet()));
    }
}
