// The lite pull consumer: subscribed with rebalance, and with queues that it is given; seek, commit, pause, offsets by time.

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

final class LitePullPoints {
    private LitePullPoints() {}

    static void addTo(PointList points) {
        points.add("lite pull, subscribed", LitePullPoints::subscribed);
        points.add("lite pull, queues assigned", LitePullPoints::assigned);
        points.add("lite pull by tag", LitePullPoints::byTag);
    }

    static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        Wait.until(count + " polled messages", () -> {
            messages.addAll(consumer.poll(100));
            return messages.size() >= count;
        });
        return messages;
    }

    interface Seek {
        void run() throws Exception;
    }

    /** Seeks again when the client loses a seek: a pull task that just begins takes the offset, and is cancelled with it. */
    private static List<MessageExt> pollAfter(Seek seek, DefaultLitePullConsumer consumer, long offset, int count) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        Wait.until(count + " messages polled from offset " + offset, () -> {
            messages.clear();
            seek.run();
            for (int polls = 0; polls < 30 && messages.size() < count; polls++) messages.addAll(consumer.poll(100));
            return messages.size() >= count && messages.get(0).getQueueOffset() == offset;
        });
        return messages;
    }

    private static void sendTo(Point point, int queues, int each) throws Exception {
        for (int queue = 0; queue < queues; queue++) {
            for (int n = 0; n < each; n++) point.send(queue, "q" + queue + "m" + n);
        }
    }

    private static Object subscribed(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        sendTo(point, 2, 3);
        DefaultLitePullConsumer first = point.newLitePullConsumer(point.group, "-first");
        first.subscribe(point.topic, "*");
        first.setAutoCommit(false);
        first.start();
        List<String> received = Plain.sortedBodies(poll(first, 6));
        first.commit();
        Wait.until("the committed offset", () -> first.committed(point.queue(0)) == 3 && first.committed(point.queue(1)) == 3);
        first.shutdown();
        point.send(0, "later");
        DefaultLitePullConsumer second = point.newLitePullConsumer(point.group, "-second");
        second.subscribe(point.topic, "*");
        second.start();
        List<MessageExt> rest = poll(second, 1);
        return Plain.map("received", received, "afterRestart", Plain.bodies(rest),
            "assigned", Plain.sorted(second.assignment(), queue -> "queue " + queue.getQueueId()));
    }

    private static Object assigned(Point point) throws Exception {
        point.site.createTopic(point.topic, 3);
        sendTo(point, 3, 4);
        DefaultLitePullConsumer consumer = point.newLitePullConsumer(point.group, "");
        consumer.setAutoCommit(false);
        consumer.start();
        List<String> queues = Plain.sorted(consumer.fetchMessageQueues(point.topic), queue -> "queue " + queue.getQueueId());
        consumer.assign(List.of(point.queue(1)));
        List<String> afterSeek = Plain.bodies(pollAfter(() -> consumer.seek(point.queue(1), 2), consumer, 2, 2));
        List<String> afterBegin = Plain.bodies(pollAfter(() -> consumer.seekToBegin(point.queue(1)), consumer, 0, 4));
        consumer.seekToEnd(point.queue(1));
        point.send(1, "after the end");
        List<String> afterEnd = Plain.bodies(poll(consumer, 1));
        long stored = point.readAll(point.queue(2)).get(2).getStoreTimestamp();
        consumer.pause(List.of(point.queue(1)));
        consumer.commitSync(Map.of(point.queue(1), 5L), true);
        return Plain.map("queues", queues, "afterSeek", afterSeek, "afterBegin", afterBegin, "afterEnd", afterEnd,
            "offsetLongAgo", consumer.offsetForTimestamp(point.queue(2), 0L),
            "offsetInTheFuture", consumer.offsetForTimestamp(point.queue(2), stored + 3_600_000),
            "committed", consumer.committed(point.queue(1)), "assigned", sizeOf(consumer.assignment()));
    }

    private static int sizeOf(Set<MessageQueue> queues) {
        return queues.size();
    }

    private static Object byTag(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        for (int n = 0; n < 6; n++) point.send(0, new Message(point.topic, "tag" + n % 3, Plain.bytes("m" + n)));
        DefaultLitePullConsumer consumer = point.newLitePullConsumer(point.group, "");
        consumer.subscribe(point.topic, "tag0 || tag2");
        consumer.start();
        return Plain.bodies(poll(consumer, 4));
    }
}
