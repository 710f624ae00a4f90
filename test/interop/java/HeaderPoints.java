// Both forms of the header (rocketmq.serialize.type): the same work with JSON and with ROCKETMQ headers, and the form in
// which each request was answered. The form is set for each request, as the system property sets it for all of them.

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.SerializeType;

final class HeaderPoints {
    /** SEND_MESSAGE_V2, PULL_MESSAGE, QUERY_CONSUMER_OFFSET, HEART_BEAT, GET_MAX_OFFSET, lists of members, GET_ROUTEINFO. */
    private static final Set<Integer> CODES = Set.of(310, 11, 14, 34, 30, 38, 105);

    private HeaderPoints() {}

    static void addTo(PointList points) {
        points.add("JSON headers", point -> work(point, SerializeType.JSON));
        points.add("ROCKETMQ headers", point -> work(point, SerializeType.ROCKETMQ));
        points.add("form in which ROCKETMQ headers are answered", HeaderPoints::formOfAnswers);
    }

    private static final class FormHook implements RPCHook {
        private final SerializeType form;
        final Map<Integer, Set<String>> answers = new ConcurrentHashMap<>();

        FormHook(SerializeType form) {
            this.form = form;
        }

        @Override
        public void doBeforeRequest(String address, RemotingCommand request) {
            request.setSerializeTypeCurrentRPC(form);
        }

        @Override
        public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
            if (response == null || !CODES.contains(request.getCode())) return;
            answers.computeIfAbsent(request.getCode(), code -> ConcurrentHashMap.newKeySet())
                .add(response.getSerializeTypeCurrentRPC() + ", version " + response.getVersion());
        }
    }

    private static Object work(Point point, SerializeType form) throws Exception {
        point.site.createTopic(point.topic, 1);
        FormHook hook = new FormHook(form);
        DefaultMQProducer producer = point.newProducer("", hook);
        producer.start();
        Message message = new Message(point.topic, "Tag", "key", Plain.bytes("form"));
        message.putUserProperty("text", "grüße ☂ \"quoted\" {}");
        Object sent = Plain.sent(producer.send(message, point.queue(0)));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.newConsumer(point.group, "", hook);
        consumer.subscribe(point.topic, "Tag");
        consumer.registerMessageListener(inbox.concurrently());
        consumer.start();
        Object received = Plain.message(inbox.await(1).get(0));
        DefaultMQPullConsumer puller = point.newPuller(point.group + "-pull", hook);
        puller.start();
        PullResult pulled = puller.pull(point.queue(0), "*", 0, 10);
        PullResult none = puller.pull(point.queue(0), "*", 1, 10);
        return Plain.map("sent", sent, "received", received, "pulled", pulled.getPullStatus().name(),
            "atTheEnd", none.getPullStatus().name(), "maxOffset", puller.maxOffset(point.queue(0)),
            "answered", hook.answers.keySet().containsAll(CODES));
    }

    /** Every decoder looks at the form of each frame: either form of answer is understood. */
    private static Object formOfAnswers(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        FormHook hook = new FormHook(SerializeType.ROCKETMQ);
        DefaultMQProducer producer = point.newProducer("", hook);
        producer.start();
        producer.send(new Message(point.topic, Plain.bytes("form")), point.queue(0));
        return new TreeSet<>(hook.answers.get(310));
    }
}
