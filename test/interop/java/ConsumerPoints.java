// What tools ask about consumers: how they run, what they consumed, who is connected; and one message that is given to a
// consumer directly.

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.ProducerConnection;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;

final class ConsumerPoints {
    private ConsumerPoints() {}

    static void addTo(PointList points) {
        points.add("consumer running info", ConsumerPoints::runningInfo);
        points.add("message consumed directly", ConsumerPoints::directly);
        points.add("consume statistics", ConsumerPoints::statistics);
        points.add("consumers and producers that are connected", ConsumerPoints::connections);
        points.add("topics of a group, groups of a topic", ConsumerPoints::relations);
        points.add("tools asking about an unknown group", ConsumerPoints::unknown);
    }

    private static DefaultMQPushConsumer running(Point point, Inbox inbox) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 4; n++) point.send(n % 2, new Message(point.topic, "Tag", "key" + n, Plain.bytes("m" + n)));
        DefaultMQPushConsumer consumer = point.consume("Tag", inbox);
        inbox.await(4);
        return consumer;
    }

    static Object subscription(SubscriptionData data) {
        return data == null ? null : Plain.map("expression", data.getSubString(), "type", data.getExpressionType(),
            "tags", Plain.sorted(data.getTagsSet()), "codes", data.getCodeSet().stream().sorted().toList());
    }

    private static Object runningInfo(Point point) throws Exception {
        DefaultMQPushConsumer consumer = running(point, new Inbox());
        String clientId = consumer.buildMQClientId();
        ConsumerRunningInfo info = point.admin.getConsumerRunningInfo(point.group, clientId, false);
        ConsumerRunningInfo withStack = point.admin.getConsumerRunningInfo(point.group, clientId, true);
        return Plain.map("properties", info.getProperties().stringPropertyNames().stream().sorted().toList(),
            "subscriptions", Plain.sorted(info.getSubscriptionSet(), SubscriptionData::getTopic),
            "queues", Plain.sorted(info.getMqTable().keySet(), queue -> queue.getTopic() + " " + queue.getQueueId()),
            "topics", Plain.sorted(info.getStatusTable().keySet()), "hasStack", withStack.getJstack() != null,
            "unknown client", Plain.outcome(() -> point.admin.getConsumerRunningInfo(point.group, "nobody", false)));
    }

    private static Object directly(Point point) throws Exception {
        Inbox inbox = new Inbox(message -> !Plain.body(message).equals("bad"));
        DefaultMQPushConsumer consumer = running(point, inbox);
        SendResult good = point.send(0, new Message(point.topic, "Other", "key", Plain.bytes("good")));
        SendResult bad = point.send(0, new Message(point.topic, "Other", "key", Plain.bytes("bad")));
        Map<String, Object> seen = new LinkedHashMap<>();
        for (Map.Entry<String, SendResult> each : Map.of("good", good, "bad", bad).entrySet()) {
            ConsumeMessageDirectlyResult result = point.admin.consumeMessageDirectly(point.group, consumer.buildMQClientId(),
                point.topic, each.getValue().getOffsetMsgId());
            seen.put(each.getKey(), Plain.map("result", result.getConsumeResult().name(), "order", result.isOrder(),
                "autoCommit", result.isAutoCommit(), "remark", result.getRemark()));
        }
        seen.put("received", Plain.sortedBodies(inbox.all()));
        seen.put("unknown client", Plain.outcome(() ->
            point.admin.consumeMessageDirectly(point.group, "nobody", point.topic, good.getOffsetMsgId())));
        return seen;
    }

    private static Object statistics(Point point) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = running(point, inbox);
        Wait.until("the committed offsets", () -> point.admin.examineConsumeStats(point.group, point.topic)
            .getOffsetTable().values().stream().mapToLong(each -> each.getConsumerOffset()).sum() == 4);
        consumer.shutdown();
        for (int n = 4; n < 7; n++) point.send(0, "m" + n);
        Wait.until("the new messages", () -> point.admin.maxOffset(point.queue(0)) == 5);
        Map<String, Object> queues = new TreeMap<>();
        ConsumeStats stats = point.admin.examineConsumeStats(point.group);
        stats.getOffsetTable().forEach((queue, offsets) -> queues.put(queue.getTopic() + " " + queue.getQueueId(),
            Plain.map("broker", offsets.getBrokerOffset(), "consumer", offsets.getConsumerOffset(), "pulled",
                offsets.getPullOffset(), "hasTime", offsets.getLastTimestamp() > 0)));
        List<Object> spans = new ArrayList<>();
        point.admin.queryConsumeTimeSpan(point.topic, point.group).stream()
            .sorted((a, b) -> a.getMessageQueue().compareTo(b.getMessageQueue()))
            .forEach(span -> spans.add(Plain.map("queue", span.getMessageQueue().getQueueId(),
                "hasTimes", span.getMinTimeStamp() > 0 && span.getMaxTimeStamp() >= span.getMinTimeStamp(),
                "hasConsumeTime", span.getConsumeTimeStamp() > 0, "isBehind", span.getDelayTime() > 0)));
        var ofBroker = point.admin.fetchConsumeStatsInBroker(point.site.brokerAddr, false, 10_000);
        boolean isListed = ofBroker.getConsumeStatsList().stream().anyMatch(groups -> groups.containsKey(point.group));
        return Plain.map("queues", queues, "diff", stats.computeTotalDiff(), "spans", spans, "isListed", isListed,
            "unknown topic", Plain.outcome(() -> point.admin.examineConsumeStats(point.group, "T-nowhere").computeTotalDiff()));
    }

    private static Object connections(Point point) throws Exception {
        DefaultMQPushConsumer consumer = running(point, new Inbox());
        consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
        ConsumerConnection connection = point.admin.examineConsumerConnectionInfo(point.group);
        Map<String, Object> subscriptions = new TreeMap<>();
        connection.getSubscriptionTable().forEach((topic, data) -> subscriptions.put(topic, subscription(data)));
        ProducerConnection producers =
            point.admin.examineProducerConnectionInfo(point.producer().getProducerGroup(), point.topic);
        List<String> all = Plain.sorted(point.admin.getAllProducerInfo(point.site.brokerAddr).getData()
            .getOrDefault(point.producer().getProducerGroup(), List.of()), each -> each.getLanguage() + " " + each.getVersion());
        return Plain.map("subscriptions", subscriptions, "type", connection.getConsumeType().name(), "model",
            connection.getMessageModel().name(), "from", connection.getConsumeFromWhere().name(),
            "clients", Plain.sorted(connection.getConnectionSet(), each -> Plain.text(each.getClientId()) + " "
                + Plain.text(each.getClientAddr()) + " " + each.getLanguage() + " " + each.getVersion()),
            "producers", Plain.sorted(producers.getConnectionSet(), each -> Plain.text(each.getClientId()) + " "
                + each.getLanguage() + " " + each.getVersion()), "allProducers", all);
    }

    private static Object relations(Point point) throws Exception {
        DefaultMQPushConsumer consumer = running(point, new Inbox());
        Wait.until("the committed offsets", () -> point.admin.examineConsumeStats(point.group, point.topic)
            .getOffsetTable().values().stream().mapToLong(each -> each.getConsumerOffset()).sum() == 4);
        Object groups = Plain.sorted(point.admin.queryTopicConsumeByWho(point.topic).getGroupList());
        Object topics = Plain.sorted(point.admin.queryTopicsByConsumer(point.group).getTopicList());
        Object subscribed = subscription(point.admin.querySubscription(point.group, point.topic));
        consumer.shutdown();
        return Plain.map("groups", groups, "topics", topics, "subscription", subscribed,
            "topics off line", Plain.sorted(point.admin.queryTopicsByConsumer(point.group).getTopicList()),
            "subscription off line", subscription(point.admin.querySubscription(point.group, point.topic)));
    }

    private static Object unknown(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        String group = "G-nobody-at-all";
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("connections", Plain.outcome(() -> point.admin.examineConsumerConnectionInfo(group, point.site.brokerAddr)));
        seen.put("producers", Plain.outcome(() -> point.admin.examineProducerConnectionInfo(group, point.topic)));
        seen.put("statistics", Plain.outcome(() -> point.admin.examineConsumeStats(group, point.topic)
            .getOffsetTable().size()));
        seen.put("topics", Plain.outcome(() -> point.admin.queryTopicsByConsumer(group)));
        seen.put("running info", Plain.outcome(() -> point.admin.getConsumerRunningInfo(group, "nobody", false)));
        seen.put("time span", Plain.outcome(() -> point.admin.queryConsumeTimeSpan(point.topic, group).size()));
        seen.put("members", Plain.outcome(() -> point.site.client().getMQClientAPIImpl()
            .getConsumerIdListByGroup(point.site.brokerAddr, group, 5_000)));
        seen.put("statistics of an unknown topic", Plain.outcome(() ->
            point.admin.examineTopicStats(point.site.brokerAddr, "T-nowhere").getOffsetTable().size()));
        return seen;
    }
}
