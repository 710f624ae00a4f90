// Compressed bodies: the client compresses with zlib, LZ4 or ZSTD and says so in the system flag; the broker keeps the
// bytes as they come, and another client gets the body back.

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

final class BodyPoints {
    private BodyPoints() {}

    static void addTo(PointList points) {
        for (CompressionType type : CompressionType.values()) {
            points.add("body compressed with " + type, point -> compressed(point, type));
        }
        points.add("bodies of many sizes", BodyPoints::sizes);
    }

    private static Object compressed(Point point, CompressionType type) throws Exception {
        point.site.createTopic(point.topic, 1);
        DefaultMQProducer producer = point.newProducer("", null);
        producer.setCompressType(type);
        producer.start();
        byte[] body = Plain.bytes("words that come again and again ".repeat(1000));
        Message message = new Message(point.topic, "Large", "key", body);
        message.putUserProperty("colour", "blue");
        Object sent = Plain.sent(producer.send(message, point.queue(0)));
        Inbox inbox = new Inbox();
        DefaultMQPullConsumer raw = point.newPuller(point.group + "-raw", null);
        raw.setInstanceName("raw-" + point.group);
        raw.setDecodeDecompressBody(false);
        raw.start();
        MessageExt kept = raw.pull(point.queue(0), "*", 0, 1).getMsgFoundList().get(0);
        point.consume("*", inbox);
        MessageExt received = inbox.await(1).get(0);
        MessageExt found = point.admin.queryMessage(point.topic, "key", 1, 0, Long.MAX_VALUE).getMessageList().get(0);
        return Plain.map("sent", sent, "message", Plain.message(received),
            "isBodyBack", List.of(received.getBody(), found.getBody()).stream().allMatch(b -> java.util.Arrays.equals(b, body)),
            "keptBytes", kept.getBody().length);
    }

    private static Object sizes(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        Random random = new Random(7);
        Map<Integer, Object> sizes = new LinkedHashMap<>();
        for (int size : new int[] {1, 4095, 4096, 4097, 65_536, 1_000_000}) {
            byte[] body = new byte[size];
            random.nextBytes(body);
            point.send(0, new Message(point.topic, body));
            MessageExt back = point.puller().pull(point.queue(0), "*", sizes.size(), 1).getMsgFoundList().get(0);
            sizes.put(size, Plain.map("isSame", java.util.Arrays.equals(body, back.getBody()), "sysFlag", back.getSysFlag()));
        }
        return sizes;
    }
}
