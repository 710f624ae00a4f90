// Turns what a client sees into values that are equal whenever the behaviour is: ids, times, ports and addresses become
// words, texts lose what only one run has. Everything that a point observes goes through here before it is printed.

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

final class Plain {
    /** Set by the client from the answer that brought the message: they tell of that moment. */
    private static final Set<String> OF_THE_MOMENT = Set.of("MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME");

    private Plain() {}

    static Map<String, Object> map(Object... namesAndValues) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) map.put((String) namesAndValues[i], namesAndValues[i + 1]);
        return map;
    }

    /** What a text says, without what only this run has. */
    static String text(String of) {
        if (of == null) return null;
        String plain = of
            .replaceAll("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "UUID")
            .replaceAll("\\b[0-9A-F]{32,56}\\b", "ID")
            .replaceAll("/?\\b\\d{1,3}(\\.\\d{1,3}){3}:\\d+", "ADDRESS")
            .replaceAll("\\b\\d{1,3}(\\.\\d{1,3}){3}@[^\\s,\\]}^]+", "CLIENT")
            .replaceAll("\\b1\\d{12}\\b", "TIME")
            .replaceAll("\\b20\\d{12,15}\\b", "TIME");
        return plain.strip();
    }

    /** How a call failed, by its code: what is said to people is said in the words of each broker. */
    static Object failure(Throwable thrown) {
        if (thrown instanceof MQBrokerException broker) return map("brokerCode", broker.getResponseCode());
        if (thrown instanceof MQClientException client) {
            if (client.getCause() instanceof MQBrokerException broker) return failure(broker);
            return map("clientCode", client.getResponseCode());
        }
        if (thrown instanceof RequestTimeoutException timeout) return map("clientCode", timeout.getResponseCode());
        return map("thrown", thrown.getClass().getSimpleName(), "text", firstLine(text(thrown.getMessage())));
    }

    /** What the call gives, or how it fails. */
    static Object outcome(Attempt attempt) throws InterruptedException {
        try {
            return attempt.make();
        } catch (InterruptedException interrupted) {
            throw interrupted;
        } catch (Exception thrown) {
            return failure(thrown);
        }
    }

    interface Attempt {
        Object make() throws Exception;
    }

    private static String firstLine(String of) {
        return of == null ? null : of.lines().findFirst().orElse("");
    }

    static String body(Message message) {
        byte[] body = message.getBody();
        return body == null ? null : new String(body, StandardCharsets.UTF_8);
    }

    static List<String> bodies(Collection<? extends Message> messages) {
        return messages.stream().map(Plain::body).toList();
    }

    static List<String> sortedBodies(Collection<? extends Message> messages) {
        return messages.stream().map(Plain::body).sorted().toList();
    }

    static Map<String, String> properties(Message message) {
        Map<String, String> plain = new TreeMap<>();
        message.getProperties().forEach((name, value) -> {
            if (!OF_THE_MOMENT.contains(name)) plain.put(name, text(value));
        });
        return plain;
    }

    /** A received message: all that does not depend on the run. */
    static Map<String, Object> message(MessageExt message) {
        return map(
            "topic", message.getTopic(), "queueId", message.getQueueId(), "queueOffset", message.getQueueOffset(),
            "body", message.getBody().length > 100 ? message.getBody().length + " bytes" : body(message),
            "bodyCRC", message.getBodyCRC(), "flag", message.getFlag(), "sysFlag", message.getSysFlag(),
            "reconsumeTimes", message.getReconsumeTimes(), "bornHost", text(message.getBornHostString()),
            "isInOrderOfTime", message.getBornTimestamp() <= message.getStoreTimestamp(),
            "properties", properties(message));
    }

    static Map<String, Object> sent(SendResult result) {
        return map(
            "status", result.getSendStatus().name(), "msgId", text(result.getMsgId()),
            "offsetMsgId", text(result.getOffsetMsgId()), "queueId", result.getMessageQueue().getQueueId(),
            "queueOffset", result.getQueueOffset(), "region", result.getRegionId(), "isTraceOn", result.isTraceOn(),
            "transactionId", text(result.getTransactionId()), "hasRecallHandle", result.getRecallHandle() != null);
    }

    static <T> List<String> sorted(Collection<T> of, Function<T, String> text) {
        return of.stream().map(text).sorted().toList();
    }

    static List<String> sorted(Collection<String> of) {
        return new ArrayList<>(new TreeSet<>(of));
    }

    static String repeat(char letter, int count) {
        return String.valueOf(letter).repeat(count);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
