// Sending in every way the client offers, what is stored of it, and every refusal of the broker by code.

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;

final class SendPoints {
    private SendPoints() {}

    static void addTo(PointList points) {
        points.add("send sync", SendPoints::sync);
        points.add("send async", SendPoints::async);
        points.add("send one-way", SendPoints::oneWay);
        points.add("send batch", SendPoints::batch);
        points.add("send with a queue selector", SendPoints::selector);
        points.add("send as the client 3.x does (SEND_MESSAGE)", SendPoints::firstForm);
        points.add("stored message, field by field", SendPoints::stored);
        points.add("send refused, by code", SendPoints::refused);
        points.add("message too large for the broker", SendPoints::tooLarge);
    }

    private static Object sync(Point point) throws Exception {
        point.site.createTopic(point.topic, 4);
        List<Object> toOneQueue = new ArrayList<>();
        for (int n = 0; n < 3; n++) toOneQueue.add(Plain.sent(point.send(1, "m" + n)));
        Map<Integer, Integer> inTurn = new TreeMap<>();
        for (int n = 0; n < 8; n++) {
            SendResult result = point.producer().send(new Message(point.topic, Plain.bytes("turn")));
            inTurn.merge(result.getMessageQueue().getQueueId(), 1, Integer::sum);
        }
        return Plain.map("toOneQueue", toOneQueue, "inTurn", inTurn.values());
    }

    static SendResult sendAsync(DefaultMQProducer producer, Message message, Point point, int queueId)
        throws Exception {
        CompletableFuture<SendResult> sent = new CompletableFuture<>();
        producer.send(message, point.queue(message.getTopic(), queueId), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                sent.complete(result);
            }

            @Override
            public void onException(Throwable thrown) {
                sent.completeExceptionally(thrown);
            }
        });
        return sent.get();
    }

    private static Object async(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        List<Object> sent = new ArrayList<>();
        for (int n = 0; n < 4; n++) {
            sent.add(Plain.sent(sendAsync(point.producer(), new Message(point.topic, Plain.bytes("a" + n)), point, n % 2)));
        }
        return sent;
    }

    private static Object oneWay(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        for (int n = 0; n < 5; n++) {
            point.producer().sendOneway(new Message(point.topic, Plain.bytes("o" + n)), point.queue(0));
        }
        Wait.until("five messages", () -> point.admin.maxOffset(point.queue(0)) == 5);
        return Plain.sortedBodies(point.readAll(point.queue(0)));
    }

    private static Object batch(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        List<Message> messages = new ArrayList<>();
        for (int n = 0; n < 3; n++) {
            Message message = new Message(point.topic, "tag" + n, "key" + n, Plain.bytes("b" + n));
            message.putUserProperty("number", String.valueOf(n));
            messages.add(message);
        }
        SendResult result = point.producer().send(messages, point.queue(1));
        SendResult next = point.producer().send(messages.subList(0, 1), point.queue(1));
        Wait.until("four messages", () -> point.admin.maxOffset(point.queue(1)) == 4);
        return Plain.map("sent", Plain.sent(result), "next", Plain.sent(next),
            "stored", point.readAll(point.queue(1)).stream().map(Plain::message).toList());
    }

    private static Object selector(Point point) throws Exception {
        point.site.createTopic(point.topic, 4);
        Map<String, Integer> queues = new LinkedHashMap<>();
        for (String order : List.of("order-1", "order-2", "order-3", "order-4", "order-1")) {
            SendResult result = point.producer().send(new Message(point.topic, Plain.bytes(order)),
                new SelectMessageQueueByHash(), order);
            queues.merge(order + " in queue " + result.getMessageQueue().getQueueId(), 1, Integer::sum);
        }
        return queues;
    }

    private static SendMessageRequestHeader header(String topic, int queueId) {
        SendMessageRequestHeader header = new SendMessageRequestHeader();
        header.setProducerGroup("P-raw");
        header.setTopic(topic);
        header.setDefaultTopic("TBW102");
        header.setDefaultTopicQueueNums(4);
        header.setQueueId(queueId);
        header.setSysFlag(0);
        header.setBornTimestamp(System.currentTimeMillis());
        header.setFlag(0);
        header.setProperties("");
        header.setReconsumeTimes(0);
        header.setUnitMode(false);
        header.setBatch(false);
        return header;
    }

    private static Object firstForm(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Object answer = point.site.answerOf(10, header(point.topic, 1), Plain.bytes("first form"));
        return Plain.map("answer", answer, "stored", Plain.message(point.awaitOnly(point.queue(1))));
    }

    private static Object stored(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Message message = new Message(point.topic, "Tag A", "key-1 key-2", 7, Plain.bytes("grüße"), true);
        message.putUserProperty("colour", "blau ☂");
        message.putUserProperty("empty-like", "-");
        message.setBuyerId("buyer");
        point.send(1, message);
        Message bare = new Message(point.topic, Plain.bytes("bare"));
        bare.setWaitStoreMsgOK(false);
        point.send(1, bare);
        List<Object> stored = new ArrayList<>();
        for (MessageExt each : point.readAll(point.queue(1))) {
            Map<String, Object> plain = Plain.message(each);
            plain.put("storeSize", each.getStoreSize());
            stored.add(plain);
        }
        return stored;
    }

    private static Object refused(Point point) throws Exception {
        Site site = point.site;
        site.createTopic(point.topic, 2);
        byte[] body = Plain.bytes("refused");
        Map<String, Object> refusals = new LinkedHashMap<>();
        refusals.put("queue that is not there", site.answerOf(10, header(point.topic, 99), body));
        refusals.put("queue below zero", site.answerOf(10, header(point.topic, -1), body));
        refusals.put("topic with a bad letter", site.answerOf(10, header("bad topic!", 0), body));
        refusals.put("topic that is too long", site.answerOf(10, header(Plain.repeat('t', 128), 0), body));
        refusals.put("system topic", site.answerOf(10, header("SCHEDULE_TOPIC_XXXX", 0), body));
        refusals.put("topic of half messages", site.answerOf(10, header("RMQ_SYS_TRANS_HALF_TOPIC", 0), body));
        SendMessageRequestHeader noTemplate = header("T-without-template", 0);
        noTemplate.setDefaultTopic("T-no-such-template");
        refusals.put("unknown topic, unknown template", site.answerOf(10, noTemplate, body));
        SendMessageRequestHeader ownTemplate = header("T-without-inheritance", 0);
        ownTemplate.setDefaultTopic(point.topic);
        refusals.put("unknown topic, template that does not inherit", site.answerOf(10, ownTemplate, body));
        refusals.put("empty body", site.answerOf(10, header(point.topic, 0), new byte[0]).get("code"));
        refusals.put("retry topic of an unknown group", site.answerOf(10, header("%RETRY%G-nobody", 0), body));
        SendMessageRequestHeader longProperties = header(point.topic, 0);
        longProperties.setProperties("p\u0001" + Plain.repeat('x', 40_000) + "\u0002");
        refusals.put("properties too long", site.answerOf(10, longProperties, body));
        SendMessageRequestHeader delay = header(point.topic, 0);
        delay.setProperties("TIMER_DELAY_SEC\u0001" + 100 * 24 * 3600 + "\u0002");
        refusals.put("delivery time too far ahead", site.answerOf(10, delay, body));
        SendMessageRequestHeader batch = header("%RETRY%" + point.group, 0);
        batch.setBatch(true);
        refusals.put("batch to a retry topic", site.answerOf(320, v2(batch), body));
        return refusals;
    }

    private static org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2 v2(
        SendMessageRequestHeader header) {
        return org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2
            .createSendMessageRequestHeaderV2(header);
    }

    private static Object tooLarge(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        DefaultMQProducer producer = point.newProducer("", null);
        producer.setMaxMessageSize(8 * 1024 * 1024);
        producer.setCompressMsgBodyOverHowmuch(16 * 1024 * 1024);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        byte[] body = new byte[4 * 1024 * 1024 + 1];
        Arrays.fill(body, (byte) 'x');
        Object over = Plain.outcome(() -> Plain.sent(producer.send(new Message(point.topic, body), point.queue(0))));
        Message fits = new Message(point.topic, Arrays.copyOf(body, 4 * 1024 * 1024 - 1));
        return Plain.map("one byte over", over, "one byte less", Plain.sent(producer.send(fits, point.queue(0))));
    }
}
