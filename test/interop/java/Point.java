// What one point works with: a topic and a group of its own, clients that are set for a short run and are shut down when
// the point ends. Clients of a point share one connection unless they are named apart.

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

final class Point implements AutoCloseable {
    static final String BROKER = "broker-a";
    static final String CLUSTER = "DefaultCluster";

    final Site site;
    final DefaultMQAdminExt admin;
    final String topic;
    final String group;
    private final String key;
    private final Deque<Runnable> ends = new ArrayDeque<>();
    private DefaultMQPullConsumer puller;
    private DefaultMQProducer sender;

    Point(Site site, String name) {
        this.site = site;
        this.admin = site.admin;
        this.key = name.replaceAll("[^A-Za-z0-9]+", "-");
        this.topic = "T-" + key;
        this.group = "G-" + key;
    }

    MessageQueue queue(int queueId) {
        return queue(topic, queueId);
    }

    MessageQueue queue(String of, int queueId) {
        return new MessageQueue(of, BROKER, queueId);
    }

    String clientId() {
        return "127.0.0.1@" + key;
    }

    /** @param apart clients of the same name share a connection */
    <T extends ClientConfig> T set(T client, String apart) {
        client.setNamesrvAddr(site.namesrvAddr());
        client.setClientIP("127.0.0.1");
        client.setInstanceName(key + apart);
        client.setPollNameServerInterval(2_000);
        // What a heartbeat missed, the next makes up for soon.
        client.setHeartbeatBrokerInterval(1_000);
        client.setPersistConsumerOffsetInterval(1_000);
        client.setPullTimeDelayMillsWhenException(200);
        client.setMqClientApiTimeout(10_000);
        return client;
    }

    synchronized void atEnd(Runnable end) {
        ends.push(end);
    }

    /** A producer that is not started yet. */
    DefaultMQProducer newProducer(String apart, RPCHook hook) {
        DefaultMQProducer producer = set(new DefaultMQProducer("P-" + key + apart, hook), apart);
        producer.setSendMsgTimeout(10_000);
        atEnd(producer::shutdown);
        return producer;
    }

    DefaultMQProducer producer() throws Exception {
        if (sender == null) {
            sender = newProducer("", null);
            sender.start();
        }
        return sender;
    }

    TransactionMQProducer transactionProducer(TransactionListener listener) throws Exception {
        TransactionMQProducer producer = set(new TransactionMQProducer("P-" + key), "");
        producer.setSendMsgTimeout(10_000);
        producer.setTransactionListener(listener);
        atEnd(producer::shutdown);
        producer.start();
        return producer;
    }

    /** A push consumer that begins at the first message; not started yet, nothing subscribed. */
    DefaultMQPushConsumer newConsumer(String ofGroup, String apart, RPCHook hook) {
        DefaultMQPushConsumer consumer = set(hook == null ? new DefaultMQPushConsumer(ofGroup)
            : new DefaultMQPushConsumer(ofGroup, hook), apart);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        atEnd(consumer::shutdown);
        return consumer;
    }

    DefaultMQPushConsumer newConsumer() {
        return newConsumer(group, "", null);
    }

    /** Starts a consumer of this point's group and topic. */
    DefaultMQPushConsumer consume(String expression, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = newConsumer();
        consumer.subscribe(topic, expression);
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        return consumer;
    }

    DefaultLitePullConsumer newLitePullConsumer(String ofGroup, String apart) {
        DefaultLitePullConsumer consumer = set(new DefaultLitePullConsumer(ofGroup), apart);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPullThreadNums(2);
        atEnd(consumer::shutdown);
        return consumer;
    }

    DefaultMQPullConsumer newPuller(String ofGroup, RPCHook hook) {
        DefaultMQPullConsumer consumer = set(new DefaultMQPullConsumer(ofGroup, hook), "");
        atEnd(consumer::shutdown);
        return consumer;
    }

    DefaultMQPullConsumer puller() throws Exception {
        if (puller == null) {
            puller = newPuller("R-" + key, null);
            puller.start();
        }
        return puller;
    }

    /** Sends, and waits until the message can be pulled, unless it is one that comes later. */
    SendResult send(int queueId, Message message) throws Exception {
        MessageQueue queue = queue(message.getTopic(), queueId);
        SendResult sent = producer().send(message, queue);
        boolean isLater = message.getDelayTimeLevel() > 0 || message.getProperties().keySet().stream()
            .anyMatch(name -> name.startsWith("TIMER_"));
        // Acknowledged is in the log; in its queue it is a moment later.
        if (!isLater) Wait.until("the message in its queue", () -> admin.maxOffset(queue) > sent.getQueueOffset());
        return sent;
    }

    SendResult send(int queueId, String body) throws Exception {
        return send(queueId, new Message(topic, Plain.bytes(body)));
    }

    /** Everything in a queue, from its first message on. */
    List<MessageExt> readAll(MessageQueue queue) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        long end = admin.maxOffset(queue);
        for (long offset = admin.minOffset(queue); offset < end; ) {
            PullResult result = puller().pull(queue, "*", offset, 32);
            if (result.getMsgFoundList() != null) messages.addAll(result.getMsgFoundList());
            if (result.getNextBeginOffset() <= offset) throw new IllegalStateException("stuck at " + offset + " of " + queue);
            offset = result.getNextBeginOffset();
        }
        return messages;
    }

    /** The only message of a queue, as soon as it is there. */
    MessageExt awaitOnly(MessageQueue queue) throws Exception {
        Wait.until("a message in " + queue, () -> admin.maxOffset(queue) > 0);
        return readAll(queue).get(0);
    }

    @Override
    public void close() {
        while (!ends.isEmpty()) ends.pop().run();
    }
}
