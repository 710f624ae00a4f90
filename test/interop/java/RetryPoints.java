// What a consumer could not take: sent back and delivered again from the retry topic, level after level, until it lies in
// the dead-letter topic; concurrent and orderly, and sent back by hand.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.header.ConsumerSendMsgBackRequestHeader;

final class RetryPoints {
    private RetryPoints() {}

    static void addTo(PointList points) {
        points.add("retry through all 16 levels to the dead letters", RetryPoints::allLevels);
        points.add("retry, then consumed", RetryPoints::twice);
        points.add("dead letter after one retry", RetryPoints::deadLetter);
        points.add("dead letter of an orderly consumer", RetryPoints::orderlyDeadLetter);
        points.add("sent back at once to the dead letters", RetryPoints::atOnce);
        points.add("send-back refused, by code", RetryPoints::refused);
    }

    static Map<String, Object> config(TopicConfig config) {
        return Plain.map("name", config.getTopicName(), "read", config.getReadQueueNums(),
            "write", config.getWriteQueueNums(), "perm", config.getPerm(), "order", config.isOrder(),
            "filter", config.getTopicFilterType().name(), "sysFlag", config.getTopicSysFlag(),
            "attributes", new TreeMap<>(config.getAttributes()));
    }

    private static Map<String, Object> deadLetters(Point point) throws Exception {
        String deadLetters = "%DLQ%" + point.group;
        MessageExt dead = point.awaitOnly(point.queue(deadLetters, 0));
        return Plain.map("message", Plain.message(dead),
            "topic", config(point.admin.examineTopicConfig(point.site.brokerAddr, deadLetters)));
    }

    private static Object allLevels(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Message message = new Message(point.topic, "Tag", "key", Plain.bytes("never"));
        message.putUserProperty("colour", "blue");
        point.send(0, message);
        Inbox inbox = new Inbox(each -> false);
        point.consume("*", inbox);
        List<MessageExt> received = inbox.await(17, 45_000);
        List<Integer> levels = new ArrayList<>();
        for (MessageExt each : received.subList(1, 17)) levels.add(each.getReconsumeTimes());
        return Plain.map("times", levels, "last", Plain.message(received.get(16)), "dead", deadLetters(point),
            "receivedCount", inbox.count());
    }

    private static Object twice(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Message message = new Message(point.topic, "Tag", "key", Plain.bytes("third time"));
        point.send(0, message);
        Inbox inbox = new Inbox(each -> each.getReconsumeTimes() == 2).withDelayLevel(1);
        point.consume("Tag", inbox);
        List<MessageExt> received = inbox.await(3);
        String retries = "%RETRY%" + point.group;
        Wait.until("the offset in the retry topic", () -> point.admin.examineConsumeStats(point.group)
            .getOffsetTable().entrySet().stream().anyMatch(entry -> entry.getKey().getTopic().equals(retries)
                && entry.getValue().getConsumerOffset() == 2));
        return Plain.map("received", received.stream().map(Plain::message).toList(),
            "topic", config(point.admin.examineTopicConfig(point.site.brokerAddr, retries)),
            "kept", point.readAll(point.queue(retries, 0)).stream().map(Plain::message).toList());
    }

    private static Object deadLetter(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("once more")));
        Inbox inbox = new Inbox(each -> false).withDelayLevel(1);
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.setMaxReconsumeTimes(1);
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        inbox.await(2);
        return Plain.map("dead", deadLetters(point), "receivedCount", inbox.count());
    }

    private static Object orderlyDeadLetter(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("refused")));
        point.send(0, "next");
        Inbox inbox = new Inbox(each -> Plain.body(each).equals("next"));
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.setMaxReconsumeTimes(2);
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.orderly(20));
        consumer.start();
        List<String> bodies = Plain.bodies(inbox.await(4));
        return Plain.map("received", bodies, "dead", deadLetters(point));
    }

    private static Object atOnce(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("hopeless")));
        Inbox inbox = new Inbox(each -> false).withDelayLevel(-1);
        point.consume("*", inbox);
        inbox.await(1);
        return Plain.map("dead", deadLetters(point), "receivedCount", inbox.count());
    }

    private static Object refused(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "there");
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        MessageExt message = inbox.await(1).get(0);
        ConsumerSendMsgBackRequestHeader header = new ConsumerSendMsgBackRequestHeader();
        header.setGroup("G-nobody-here");
        header.setOffset(message.getCommitLogOffset());
        header.setDelayLevel(1);
        header.setMaxReconsumeTimes(16);
        header.setOriginTopic(point.topic);
        Object unknownGroup = point.site.answerOf(36, header, null);
        header.setGroup(point.group);
        header.setOffset(message.getCommitLogOffset() + 1_000_000_000_000L);
        Object unknownMessage = point.site.answerOf(36, header, null);
        header.setOffset(message.getCommitLogOffset());
        return Plain.map("unknown group", unknownGroup, "unknown message", unknownMessage,
            "accepted", point.site.answerOf(36, header, null));
    }
}
