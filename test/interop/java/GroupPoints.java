// Consumers of a group: where a new group begins, how queues are divided among two members and pushed to them, order
// under locks, and broadcasting.

import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

final class GroupPoints {
    private static final int QUERY_CONSUMER_OFFSET = 14;
    private static final int NOTIFY_CONSUMER_IDS_CHANGED = 40;

    private GroupPoints() {}

    static void addTo(PointList points) {
        for (ConsumeFromWhere where : List.of(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
            points.add("first start on a young topic, " + where, point -> firstStart(point, where, null));
            points.add("first start on an old topic, " + where, point -> firstStart(point, where, new AsIfOld()));
        }
        points.add("rebalance of two consumers", GroupPoints::rebalance);
        points.add("rebalance in a circle", GroupPoints::circle);
        points.add("orderly, with a failure", GroupPoints::orderly);
        points.add("orderly, two consumers", GroupPoints::orderlyPair);
        points.add("broadcasting to two consumers", GroupPoints::broadcasting);
        points.add("group that goes on where it stopped", GroupPoints::goesOn);
    }

    /**
     * A broker answers a new group with offset 0 while the first message of the queue is recent; with this field, which
     * clients may send, it says that it knows no offset, as it does of an old topic: then the rule of the client holds.
     */
    private static final class AsIfOld implements RPCHook {
        @Override
        public void doBeforeRequest(String address, RemotingCommand request) {
            if (request.getCode() == QUERY_CONSUMER_OFFSET) request.addExtField("setZeroIfNotFound", "false");
        }

        @Override
        public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
            // The answer is for the client.
        }
    }

    /** What of the old messages and of those sent while the group runs it receives. */
    private static Map<String, Object> firstStart(Point point, ConsumeFromWhere where, RPCHook hook) throws Exception {
        point.site.createTopic(point.topic, 1);
        for (int n = 0; n < 3; n++) point.send(0, "old" + n);
        long lastOld = point.readAll(point.queue(0)).get(2).getStoreTimestamp();
        // The time of a start is given in whole seconds.
        long second = (lastOld / 1000 + 1) * 1000;
        Wait.until("the next second", () -> System.currentTimeMillis() > second);
        for (int n = 0; n < 2; n++) point.send(0, "recent" + n);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.newConsumer(point.group, "-new", hook);
        // One thread, so that whoever has the newest has all before it.
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(1);
        consumer.setConsumeFromWhere(where);
        consumer.setConsumeTimestamp(DateTimeFormatter.ofPattern("yyyyMMddHHmmss")
            .format(Instant.ofEpochMilli(second).atZone(ZoneId.systemDefault())));
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        Wait.until("the queue", () -> !queues(consumer).isEmpty());
        point.send(0, "new");
        Wait.until("the newest", () -> Plain.bodies(inbox.all()).contains("new"));
        return Plain.map("received", Plain.sortedBodies(inbox.all()));
    }

    static List<MessageQueue> queues(DefaultMQPushConsumer consumer) {
        return consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> !queue.getTopic().startsWith("%RETRY%")).sorted().toList();
    }

    private static List<Integer> queueIds(DefaultMQPushConsumer consumer) {
        return queues(consumer).stream().map(MessageQueue::getQueueId).toList();
    }

    private static DefaultMQPushConsumer member(Point point, String apart, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = point.newConsumer(point.group, apart, null);
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.concurrently());
        return consumer;
    }

    private static Object rebalance(Point point) throws Exception {
        point.site.createTopic(point.topic, 8);
        Inbox inbox = new Inbox();
        AtomicInteger toldCount = new AtomicInteger();
        DefaultMQPushConsumer first = point.newConsumer(point.group, "-a", new RPCHook() {
            @Override
            public void doBeforeRequest(String address, RemotingCommand request) {
                // The hook sees what the broker asks of the client too.
                if (request.getCode() == NOTIFY_CONSUMER_IDS_CHANGED) toldCount.incrementAndGet();
            }

            @Override
            public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
                // Nothing is known before the request is.
            }
        });
        first.subscribe(point.topic, "*");
        first.registerMessageListener(inbox.concurrently());
        DefaultMQPushConsumer second = member(point, "-b", inbox);
        first.start();
        Wait.until("all queues at the first, and word of itself", () -> queues(first).size() == 8 && toldCount.get() > 0);
        int toldBefore = toldCount.get();
        second.start();
        Wait.until("half of the queues", () -> queues(first).size() == 4 && queues(second).size() == 4);
        Wait.until("word of the second", () -> toldCount.get() > toldBefore);
        List<Object> shares = List.of(queueIds(first), queueIds(second));
        for (int n = 0; n < 40; n++) point.send(n % 8, "m" + n);
        inbox.await(40);
        List<String> members = Plain.sorted(point.admin.examineConsumerConnectionInfo(point.group).getConnectionSet(),
            connection -> Plain.text(connection.getClientId()));
        int toldOfJoin = toldCount.get();
        second.shutdown();
        Wait.until("all queues at the first again", () -> queues(first).size() == 8);
        Wait.until("word that the second left", () -> toldCount.get() > toldOfJoin);
        for (int n = 40; n < 48; n++) point.send(n % 8, "m" + n);
        Wait.until("all messages", () -> Plain.sorted(Plain.bodies(inbox.all())).size() == 48);
        return Plain.map("shares", shares, "members", members.size(), "received", Plain.sorted(Plain.bodies(inbox.all())).size());
    }

    private static Object circle(Point point) throws Exception {
        point.site.createTopic(point.topic, 5);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer first = member(point, "-a", inbox);
        DefaultMQPushConsumer second = member(point, "-b", inbox);
        for (DefaultMQPushConsumer each : List.of(first, second)) {
            each.setAllocateMessageQueueStrategy(new AllocateMessageQueueAveragelyByCircle());
            each.start();
        }
        Wait.until("both shares", () -> queues(first).size() == 3 && queues(second).size() == 2);
        return List.of(queueIds(first), queueIds(second));
    }

    private static Object orderly(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 12; n++) point.send(n % 2, "m" + n);
        AtomicBoolean hasFailed = new AtomicBoolean();
        Inbox inbox = new Inbox(message -> !Plain.body(message).equals("m4") || hasFailed.getAndSet(true));
        DefaultMQPushConsumer consumer = point.newConsumer();
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener(inbox.orderly(50));
        consumer.start();
        return byQueue(inbox.await(13));
    }

    private static Map<Integer, List<String>> byQueue(List<MessageExt> messages) {
        Map<Integer, List<String>> bodies = new TreeMap<>();
        for (MessageExt each : messages) {
            bodies.computeIfAbsent(each.getQueueId(), queue -> new ArrayList<>())
                .add(Plain.body(each) + (each.getReconsumeTimes() == 0 ? "" : " again"));
        }
        return bodies;
    }

    private static Object orderlyPair(Point point) throws Exception {
        point.site.createTopic(point.topic, 4);
        Inbox inbox = new Inbox();
        List<DefaultMQPushConsumer> members = new ArrayList<>();
        for (String apart : List.of("-a", "-b")) {
            DefaultMQPushConsumer consumer = point.newConsumer(point.group, apart, null);
            consumer.subscribe(point.topic, "*");
            consumer.registerMessageListener(inbox.orderly(50));
            consumer.start();
            members.add(consumer);
        }
        // A queue changes hands only when its lock is free.
        Wait.until("two queues each, locked", () -> members.stream().allMatch(member -> member
            .getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().entrySet().stream()
            .filter(queue -> queue.getKey().getTopic().equals(point.topic) && queue.getValue().isLocked()).count() == 2));
        for (int n = 0; n < 20; n++) point.send(n % 4, "m" + n);
        Map<Integer, List<String>> received = byQueue(inbox.await(20));
        members.get(1).shutdown();
        Wait.until("all queues at one", () -> queues(members.get(0)).size() == 4);
        for (int n = 20; n < 24; n++) point.send(n % 4, "m" + n);
        Wait.until("the rest", () -> Plain.sorted(Plain.bodies(inbox.all())).size() == 24);
        return received;
    }

    private static Object broadcasting(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Map<String, Inbox> inboxes = new LinkedHashMap<>();
        for (String apart : List.of("-a", "-b")) {
            Inbox inbox = new Inbox(message -> !Plain.body(message).equals("m3"));
            DefaultMQPushConsumer consumer = point.newConsumer(point.group, apart, null);
            consumer.setMessageModel(MessageModel.BROADCASTING);
            consumer.subscribe(point.topic, "*");
            consumer.registerMessageListener(inbox.concurrently());
            consumer.start();
            inboxes.put(apart, inbox);
        }
        for (int n = 0; n < 6; n++) point.send(n % 2, "m" + n);
        Map<String, Object> received = new LinkedHashMap<>();
        for (Map.Entry<String, Inbox> each : inboxes.entrySet()) {
            received.put(each.getKey(), Plain.sortedBodies(each.getValue().await(6)));
        }
        received.put("model", point.admin.examineConsumerConnectionInfo(point.group).getMessageModel().name());
        return received;
    }

    private static Object goesOn(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 6; n++) point.send(n % 2, "m" + n);
        Inbox first = new Inbox();
        DefaultMQPushConsumer consumer = point.consume("*", first);
        first.await(6);
        // What the listener received last is committed once it has answered.
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.shutdown();
        for (int n = 6; n < 10; n++) point.send(n % 2, "m" + n);
        Inbox second = new Inbox();
        DefaultMQPushConsumer next = point.newConsumer(point.group, "-next", null);
        next.subscribe(point.topic, "*");
        next.registerMessageListener(second.concurrently());
        next.start();
        return List.of(Plain.sortedBodies(first.all()), Plain.sortedBodies(second.await(4)));
    }
}
