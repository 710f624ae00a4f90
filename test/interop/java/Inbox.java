// A listener that keeps what it receives, in the order of arrival, and lets a point wait for it. What it answers for a
// message is up to the point; by default everything is consumed.

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.MessageExt;

final class Inbox {
    private final List<MessageExt> received = new ArrayList<>();
    private final Function<MessageExt, Boolean> isConsumed;
    /** Of a message that is not consumed. */
    private int delayLevel;

    Inbox() {
        this(message -> true);
    }

    Inbox(Function<MessageExt, Boolean> isConsumed) {
        this.isConsumed = isConsumed;
    }

    Inbox withDelayLevel(int level) {
        delayLevel = level;
        return this;
    }

    MessageListenerConcurrently concurrently() {
        return this::consume;
    }

    MessageListenerOrderly orderly(long suspendMillis) {
        return (messages, context) -> consumeOrderly(messages, context, suspendMillis);
    }

    private ConsumeConcurrentlyStatus consume(List<MessageExt> messages, ConsumeConcurrentlyContext context) {
        context.setDelayLevelWhenNextConsume(delayLevel);
        return add(messages) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
    }

    private ConsumeOrderlyStatus consumeOrderly(List<MessageExt> messages, ConsumeOrderlyContext context, long millis) {
        context.setSuspendCurrentQueueTimeMillis(millis);
        return add(messages) ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
    }

    boolean add(List<MessageExt> messages) {
        boolean allConsumed = true;
        for (MessageExt message : messages) allConsumed &= isConsumed.apply(message);
        synchronized (this) {
            received.addAll(messages);
            notifyAll();
        }
        return allConsumed;
    }

    synchronized List<MessageExt> all() {
        return List.copyOf(received);
    }

    synchronized int count() {
        return received.size();
    }

    List<MessageExt> await(int count) throws Exception {
        return await(count, 30_000);
    }

    synchronized List<MessageExt> await(int count, long mostMillis) throws Exception {
        long end = System.nanoTime() + mostMillis * 1_000_000;
        while (received.size() < count) {
            long left = (end - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new TimeoutException("received " + received.size() + " of " + count + " in " + mostMillis + " ms: "
                    + Plain.bodies(received));
            }
            wait(left);
        }
        return List.copyOf(received);
    }
}
