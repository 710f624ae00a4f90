// Pulling queue by queue: statuses and offsets at every place of a queue, limits of one answer, long polling, offsets of
// a group, and every refusal by code.

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.UpdateConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

final class PullPoints {
    private PullPoints() {}

    static void addTo(PointList points) {
        points.add("pull at every place of a queue", PullPoints::places);
        points.add("pull, most messages and bytes of an answer", PullPoints::limits);
        points.add("pull, long polling that is fulfilled", PullPoints::heldUntilMessage);
        points.add("pull, long polling that runs out", PullPoints::heldUntilTimeout);
        points.add("pull refused, by code", PullPoints::refused);
        points.add("pull with SQL92 that cannot be compiled", PullPoints::badSql);
        points.add("offsets of a group", PullPoints::offsets);
        points.add("offset beyond the end of a queue", PullPoints::beyondTheEnd);
    }

    static Map<String, Object> plain(PullResult result) {
        return Plain.map("status", result.getPullStatus().name(), "next", result.getNextBeginOffset(),
            "min", result.getMinOffset(), "max", result.getMaxOffset(),
            "bodies", result.getMsgFoundList() == null ? List.of() : Plain.bodies(result.getMsgFoundList()));
    }

    private static Object places(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 3; n++) point.send(0, new Message(point.topic, "tag" + n, Plain.bytes("m" + n)));
        Map<String, Object> seen = new LinkedHashMap<>();
        for (long offset : new long[] {0, 1, 2, 3, 4, 500}) {
            seen.put("from " + offset, plain(point.puller().pull(point.queue(0), "*", offset, 32)));
        }
        seen.put("one at a time", plain(point.puller().pull(point.queue(0), "*", 0, 1)));
        seen.put("by tag", plain(point.puller().pull(point.queue(0), "tag0 || tag2", 0, 32)));
        seen.put("tag that nobody has", plain(point.puller().pull(point.queue(0), "none", 0, 32)));
        seen.put("empty queue", plain(point.puller().pull(point.queue(1), "*", 0, 32)));
        seen.put("far in an empty queue", plain(point.puller().pull(point.queue(1), "*", 7, 32)));
        return seen;
    }

    private static Object limits(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        List<Message> messages = new ArrayList<>();
        for (int n = 0; n < 50; n++) messages.add(new Message(point.topic, Plain.bytes("m" + n)));
        point.producer().send(messages, point.queue(0));
        Wait.until("the messages", () -> point.admin.maxOffset(point.queue(0)) == 50);
        byte[] large = new byte[60_000];
        new java.util.Random(1).nextBytes(large);
        for (int n = 0; n < 8; n++) point.send(1, new Message(point.topic, large));
        Map<String, Object> counts = new LinkedHashMap<>();
        for (int most : new int[] {1, 10, 32, 33, 100}) {
            counts.put("of small ones, at most " + most,
                point.puller().pull(point.queue(0), "*", 0, most).getMsgFoundList().size());
        }
        counts.put("of 60,000 bytes", point.puller().pull(point.queue(1), "*", 0, 32).getMsgFoundList().size());
        return counts;
    }

    private static Object heldUntilMessage(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, new Message(point.topic, "Other", Plain.bytes("before")));
        DefaultMQPullConsumer puller = point.newPuller(point.group, null);
        puller.start();
        Thread later = new Thread(() -> {
            try {
                Thread.sleep(700);
                point.send(0, new Message(point.topic, "Other", Plain.bytes("of another tag")));
                point.send(0, new Message(point.topic, "Wanted", Plain.bytes("wanted")));
            } catch (Exception thrown) {
                thrown.printStackTrace();
            }
        });
        long from = System.nanoTime();
        later.start();
        PullResult result = puller.pullBlockIfNotFound(point.queue(0), "Wanted", 1, 32);
        long millis = Wait.millisSince(from);
        later.join();
        // What is held is looked at again when a message of its tag has come, not before.
        return Plain.map("answer", plain(result), "isHeld", millis >= 650, "isPrompt", millis < 3_000);
    }

    private static Object heldUntilTimeout(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "before");
        DefaultMQPullConsumer puller = point.newPuller(point.group, null);
        puller.setBrokerSuspendMaxTimeMillis(1_500);
        puller.start();
        long from = System.nanoTime();
        PullResult result = puller.pullBlockIfNotFound(point.queue(0), "*", 1, 32);
        long millis = Wait.millisSince(from);
        return Plain.map("answer", plain(result), "isHeld", millis >= 1_450, "isAnswered", millis < 8_000);
    }

    private static PullMessageRequestHeader header(String group, String topic, int queueId, int sysFlag) {
        PullMessageRequestHeader header = new PullMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(queueId);
        header.setQueueOffset(0L);
        header.setMaxMsgNums(32);
        header.setSysFlag(sysFlag);
        header.setCommitOffset(0L);
        header.setSuspendTimeoutMillis(0L);
        header.setSubscription("*");
        header.setSubVersion(0L);
        return header;
    }

    private static Object refused(Point point) throws Exception {
        Site site = point.site;
        site.createTopic(point.topic, 1);
        point.send(0, "there");
        TopicConfig writeOnly = new TopicConfig(point.topic + "-write", 1, 1, 2);
        site.createTopic(writeOnly);
        SubscriptionGroupConfig silent = new SubscriptionGroupConfig();
        silent.setGroupName(point.group + "-silent");
        silent.setConsumeEnable(false);
        point.admin.createAndUpdateSubscriptionGroupConfig(site.brokerAddr, silent);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        inbox.await(1);
        Map<String, Object> seen = new LinkedHashMap<>();
        int own = 4;
        seen.put("found", site.answerOf(11, header(point.group, point.topic, 0, own), null));
        seen.put("unknown topic", site.answerOf(11, header(point.group, "T-nowhere", 0, own), null));
        seen.put("unknown queue", site.answerOf(11, header(point.group, point.topic, 9, own), null));
        seen.put("queue below zero", site.answerOf(11, header(point.group, point.topic, -1, own), null));
        seen.put("topic that cannot be read", site.answerOf(11, header(point.group, writeOnly.getTopicName(), 0, own), null));
        seen.put("group that may not consume", site.answerOf(11, header(silent.getGroupName(), point.topic, 0, own), null));
        seen.put("group without members", site.answerOf(11, header("G-nobody-here", point.topic, 0, 0), null));
        seen.put("topic that the group does not subscribe", site.answerOf(11, header(point.group, "TBW102", 0, 0), null));
        PullMessageRequestHeader newer = header(point.group, point.topic, 0, 0);
        newer.setSubVersion(Long.MAX_VALUE);
        seen.put("newer subscription than the broker has", site.answerOf(11, newer, null));
        seen.put("group with a bad letter", site.answerOf(11, header("G bad!", point.topic, 0, own), null));
        seen.put("lite pull", site.answerOf(361, header(point.group, point.topic, 0, own), null));
        return seen;
    }

    private static Object badSql(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "there");
        PullMessageRequestHeader sql = header(point.group, point.topic, 0, 4);
        sql.setExpressionType("SQL92");
        sql.setSubscription("a = ");
        return point.site.answerOf(11, sql, null);
    }

    private static Object beyondTheEnd(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "only");
        SubscriptionGroupConfig known = new SubscriptionGroupConfig();
        known.setGroupName(point.group);
        point.admin.createAndUpdateSubscriptionGroupConfig(point.site.brokerAddr, known);
        return Plain.outcome(() -> {
            point.admin.updateConsumeOffset(point.site.brokerAddr, point.group, point.queue(0), 99);
            return "taken";
        });
    }

    private static Object offsets(Point point) throws Exception {
        Site site = point.site;
        site.createTopic(point.topic, 2);
        for (int n = 0; n < 3; n++) point.send(0, "m" + n);
        QueryConsumerOffsetRequestHeader young = new QueryConsumerOffsetRequestHeader();
        young.setConsumerGroup(point.group);
        young.setTopic(point.topic);
        young.setQueueId(0);
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("nothing committed, young queue", site.answerOf(14, young, null));
        young.setQueueId(1);
        seen.put("nothing committed, empty queue", site.answerOf(14, young, null));
        young.setQueueId(0);
        young.setSetZeroIfNotFound(false);
        seen.put("nothing committed, zero not wanted", site.answerOf(14, young, null));
        DefaultMQPullConsumer puller = point.newPuller(point.group, null);
        puller.start();
        SubscriptionGroupConfig known = new SubscriptionGroupConfig();
        known.setGroupName(point.group);
        point.admin.createAndUpdateSubscriptionGroupConfig(site.brokerAddr, known);
        for (long offset : new long[] {2, 3, 1}) {
            point.admin.updateConsumeOffset(site.brokerAddr, point.group, point.queue(0), offset);
            seen.put("committed " + offset, puller.getDefaultMQPullConsumerImpl().fetchConsumeOffset(point.queue(0), true));
        }
        UpdateConsumerOffsetRequestHeader update = new UpdateConsumerOffsetRequestHeader();
        update.setConsumerGroup("G-nobody-here");
        update.setTopic(point.topic);
        update.setQueueId(0);
        update.setCommitOffset(1L);
        seen.put("commit of an unknown group", site.answerOf(15, update, null));
        update.setConsumerGroup(point.group);
        update.setTopic("T-nowhere");
        seen.put("commit in an unknown topic", site.answerOf(15, update, null));
        return seen;
    }
}
