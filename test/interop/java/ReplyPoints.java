// Request and reply: the answer finds the producer that asked; nobody answers; and a reply that finds nobody.

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

final class ReplyPoints {
    private ReplyPoints() {}

    static void addTo(PointList points) {
        points.add("request and reply", ReplyPoints::answered);
        points.add("request that nobody answers", ReplyPoints::unanswered);
        points.add("reply that finds nobody", ReplyPoints::nobody);
    }

    private static Object properties(Message message) {
        Map<String, String> plain = new TreeMap<>(Plain.properties(message));
        plain.replaceAll((name, value) -> name.equals("UNIQ_KEY") || name.equals("CORRELATION_ID") ? name : value);
        return plain;
    }

    private static void answer(Point point) throws Exception {
        DefaultMQPushConsumer consumer = point.newConsumer(point.group, "-replier", null);
        consumer.subscribe(point.topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            try {
                for (MessageExt message : messages) {
                    byte[] body = Plain.bytes("answer to " + Plain.body(message));
                    point.producer().send(MessageUtil.createReplyMessage(message, body), 10_000);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception thrown) {
                thrown.printStackTrace();
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();
    }

    private static Object answered(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.producer();
        answer(point);
        var asking = point.newProducer("-asking", null);
        asking.start();
        Message sync = asking.request(new Message(point.topic, "Tag", "key", Plain.bytes("sync")), 15_000);
        CompletableFuture<Message> later = new CompletableFuture<>();
        asking.request(new Message(point.topic, Plain.bytes("async")), new RequestCallback() {
            @Override
            public void onSuccess(Message message) {
                // The client calls this a first time, with nothing, when the request is sent.
                if (message != null) later.complete(message);
            }

            @Override
            public void onException(Throwable thrown) {
                later.completeExceptionally(thrown);
            }
        }, 15_000);
        return Plain.map("sync", Plain.body(sync), "properties", properties(sync), "topic", sync.getTopic(),
            "async", Plain.body(later.get()),
            "asked", point.readAll(point.queue(0)).stream().map(ReplyPoints::properties).toList());
    }

    private static Object unanswered(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        // The first message takes its time; the time of the request is for the answer.
        point.send(0, "first");
        return Plain.outcome(() -> Plain.body(point.producer().request(new Message(point.topic, Plain.bytes("hello?")), 3_000)));
    }

    private static Object nobody(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Message reply = new Message(Point.CLUSTER + "_REPLY_TOPIC", Plain.bytes("to whom"));
        MessageAccessor.putProperty(reply, "MSG_TYPE", "reply");
        MessageAccessor.putProperty(reply, "CORRELATION_ID", "of-nobody");
        MessageAccessor.putProperty(reply, "REPLY_TO_CLIENT", "nobody");
        MessageAccessor.putProperty(reply, "TTL", "3000");
        point.producer().setRetryTimesWhenSendFailed(0);
        return Plain.outcome(() -> Plain.sent(point.producer().send(reply)));
    }
}
