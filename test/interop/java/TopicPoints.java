// Topics and groups as the admin tool keeps them: automatic creation, permissions, creating, changing, listing, deleting.

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

final class TopicPoints {
    private TopicPoints() {}

    static void addTo(PointList points) {
        points.add("topic created by the first message", TopicPoints::autoCreated);
        points.add("topic not created by the first message", TopicPoints::notCreated);
        points.add("topics that may not be written or read", TopicPoints::permissions);
        points.add("topic created, changed, deleted", TopicPoints::topicLife);
        points.add("topic refused, by code", TopicPoints::topicRefused);
        points.add("group created, changed, deleted", TopicPoints::groupLife);
        points.add("group forbidden to read a topic", TopicPoints::forbidden);
    }

    private static Object topic(Point point, String name) throws Exception {
        return Plain.outcome(() -> RetryPoints.config(point.admin.examineTopicConfig(point.site.brokerAddr, name)));
    }

    private static Object autoCreated(Point point) throws Exception {
        Map<String, Object> created = new LinkedHashMap<>();
        for (int queues : new int[] {4, 2, 16}) {
            DefaultMQProducer producer = point.newProducer("-" + queues, null);
            producer.setDefaultTopicQueueNums(queues);
            producer.start();
            String name = point.topic + "-" + queues;
            Map<String, Object> sent = Plain.sent(producer.send(new Message(name, Plain.bytes("first"))));
            // Which queue is first is chosen at random.
            sent.remove("queueId");
            point.site.awaitRoute(name);
            created.put(queues + " queues wanted", Plain.map("sent", sent, "topic", topic(point, name), "queues",
                point.puller().fetchSubscribeMessageQueues(name).size()));
        }
        return created;
    }

    private static Object notCreated(Point point) throws Exception {
        DefaultMQProducer producer = point.newProducer("", null);
        producer.setCreateTopicKey("T-no-template");
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        Object failure = Plain.outcome(() -> Plain.sent(producer.send(new Message(point.topic, Plain.bytes("first")))));
        return Plain.map("sent", failure, "topic", topic(point, point.topic));
    }

    private static Object permissions(Point point) throws Exception {
        Map<String, Object> seen = new LinkedHashMap<>();
        for (int permission : new int[] {6, 4, 2, 0}) {
            String name = point.topic + "-" + permission;
            point.site.createTopic(new TopicConfig(name, 2, 2, permission));
            DefaultMQProducer producer = point.newProducer("-" + permission, null);
            producer.setRetryTimesWhenSendFailed(0);
            producer.start();
            seen.put("permission " + permission, Plain.map(
                "send", Plain.outcome(() -> producer.send(new Message(name, Plain.bytes("m"))).getSendStatus().name()),
                "sendToQueue", Plain.outcome(() ->
                    producer.send(new Message(name, Plain.bytes("m")), point.queue(name, 0)).getSendStatus().name()),
                "queuesToRead", Plain.outcome(() -> point.puller().fetchSubscribeMessageQueues(name).size()),
                "pull", Plain.outcome(() -> point.puller().pull(point.queue(name, 1), "*", 50, 10).getPullStatus().name())));
        }
        return seen;
    }

    private static Object topicLife(Point point) throws Exception {
        TopicConfig config = new TopicConfig(point.topic, 4, 4);
        config.setAttributes(new TreeMap<>(Map.of("+message.type", "NORMAL")));
        point.site.createTopic(config);
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("created", topic(point, point.topic));
        seen.put("listed", point.admin.fetchAllTopicList().getTopicList().contains(point.topic));
        TopicConfig changed = new TopicConfig(point.topic, 8, 2, 4);
        changed.setOrder(true);
        point.admin.createAndUpdateTopicConfig(point.site.brokerAddr, changed);
        seen.put("changed", topic(point, point.topic));
        Wait.until("the changed route", () -> point.admin.examineTopicRouteInfo(point.topic).getQueueDatas().get(0)
            .getReadQueueNums() == 8);
        var queues = point.admin.examineTopicRouteInfo(point.topic).getQueueDatas().get(0);
        seen.put("route", Plain.map("broker", queues.getBrokerName(), "read", queues.getReadQueueNums(), "write",
            queues.getWriteQueueNums(), "perm", queues.getPerm(), "sysFlag", queues.getTopicSysFlag()));
        List<TopicConfig> several = new ArrayList<>();
        for (int n = 0; n < 3; n++) several.add(new TopicConfig(point.topic + "-" + n, 1, 1));
        point.admin.createAndUpdateTopicConfigList(point.site.brokerAddr, several);
        seen.put("list", point.admin.getAllTopicConfig(point.site.brokerAddr, 10_000).getTopicConfigTable().keySet().stream()
            .filter(name -> name.startsWith(point.topic)).sorted().toList());
        seen.put("ofUsers", point.admin.getUserTopicConfig(point.site.brokerAddr, false, 10_000).getTopicConfigTable().keySet()
            .stream().filter(name -> !name.startsWith("T-") && !name.startsWith("%")).sorted().toList());
        point.admin.deleteTopic(point.topic, Point.CLUSTER);
        seen.put("deleted", topic(point, point.topic));
        seen.put("route after", Plain.outcome(() -> point.admin.examineTopicRouteInfo(point.topic)));
        return seen;
    }

    private static Object change(Point point, TopicConfig config) throws Exception {
        return Plain.outcome(() -> {
            point.admin.createAndUpdateTopicConfig(point.site.brokerAddr, config);
            return "done";
        });
    }

    private static Object topicRefused(Point point) throws Exception {
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("bad letter", change(point, new TopicConfig("bad topic!", 1, 1)));
        seen.put("too long", change(point, new TopicConfig(Plain.repeat('t', 128), 1, 1)));
        seen.put("no name", change(point, new TopicConfig("", 1, 1)));
        seen.put("system topic", change(point, new TopicConfig("TBW102", 1, 1)));
        TopicConfig unknown = new TopicConfig(point.topic, 1, 1);
        unknown.setAttributes(new TreeMap<>(Map.of("+foo", "bar")));
        seen.put("unknown attribute", change(point, unknown));
        TopicConfig wrong = new TopicConfig(point.topic, 1, 1);
        wrong.setAttributes(new TreeMap<>(Map.of("+message.type", "SOMETHING")));
        seen.put("wrong attribute", change(point, wrong));
        TopicConfig mixed = new TopicConfig(point.topic, 1, 1);
        mixed.setAttributes(new TreeMap<>(Map.of("+message.type", "MIXED")));
        seen.put("mixed", change(point, mixed));
        TopicConfig removed = new TopicConfig(point.topic, 1, 1);
        removed.setAttributes(new TreeMap<>(Map.of("-message.type", "")));
        seen.put("attribute removed from a topic that is not there", change(point, removed));
        point.site.createTopic(point.topic + "-plain", 1);
        removed.setTopicName(point.topic + "-plain");
        seen.put("attribute removed that is not there", change(point, removed));
        seen.put("unknown", topic(point, "T-nowhere"));
        seen.put("system topic deleted", Plain.outcome(() -> {
            point.admin.deleteTopicInBroker(java.util.Set.of(point.site.brokerAddr), "TBW102");
            return "done";
        }));
        seen.put("unknown topic deleted", Plain.outcome(() -> {
            point.admin.deleteTopicInBroker(java.util.Set.of(point.site.brokerAddr), "T-nowhere");
            return "done";
        }));
        return seen;
    }

    private static Object group(Point point, String name) throws Exception {
        SubscriptionGroupConfig config = point.admin.getAllSubscriptionGroup(point.site.brokerAddr, 10_000)
            .getSubscriptionGroupTable().get(name);
        return config == null ? null : com.alibaba.fastjson2.JSON.parse(com.alibaba.fastjson2.JSON.toJSONString(config));
    }

    private static Object groupLife(Point point) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(point.group);
        point.admin.createAndUpdateSubscriptionGroupConfig(point.site.brokerAddr, config);
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("created", group(point, point.group));
        config.setRetryMaxTimes(3);
        config.setRetryQueueNums(2);
        config.setConsumeBroadcastEnable(false);
        config.setConsumeMessageOrderly(true);
        config.setConsumeTimeoutMinute(5);
        config.setNotifyConsumerIdsChangedEnable(false);
        point.admin.createAndUpdateSubscriptionGroupConfig(point.site.brokerAddr, config);
        seen.put("changed", group(point, point.group));
        seen.put("examined", point.admin.examineSubscriptionGroupConfig(point.site.brokerAddr, point.group).getRetryMaxTimes());
        seen.put("ofUsers", point.admin.getUserSubscriptionGroup(point.site.brokerAddr, 10_000).getSubscriptionGroupTable()
            .keySet().stream().filter(name -> !name.startsWith("G-") && !name.startsWith("R-")).sorted().toList());
        SubscriptionGroupConfig bad = new SubscriptionGroupConfig();
        bad.setGroupName("bad group!");
        seen.put("bad letter", Plain.outcome(() -> {
            point.admin.createAndUpdateSubscriptionGroupConfig(point.site.brokerAddr, bad);
            return "done";
        }));
        point.admin.deleteSubscriptionGroup(point.site.brokerAddr, point.group, true);
        seen.put("deleted", group(point, point.group));
        return seen;
    }

    private static Object forbidden(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "m");
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        inbox.await(1);
        Map<String, Object> seen = new LinkedHashMap<>();
        for (Boolean readable : new Boolean[] {false, null, true}) {
            var answer = point.admin.updateAndGetGroupReadForbidden(point.site.brokerAddr, point.group, point.topic, readable);
            seen.put("readable " + readable, Plain.map("group", answer.getGroup(), "topic", answer.getTopic(), "readable",
                answer.getReadable()));
            if (!Boolean.TRUE.equals(readable)) point.send(0, "not read");
        }
        inbox.await(3);
        return seen;
    }
}
