// Finding messages: by time, by key, by unique key, by message id; and the bounds of queues.

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.header.QueryMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ViewMessageRequestHeader;

final class QueryPoints {
    private QueryPoints() {}

    static void addTo(PointList points) {
        points.add("search by time", QueryPoints::byTime);
        points.add("search by key", QueryPoints::byKey);
        points.add("search by unique key", QueryPoints::byUniqueKey);
        points.add("message by its id", QueryPoints::byId);
        points.add("entries of a queue", QueryPoints::entries);
    }

    private static Object byTime(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        long[] times = new long[4];
        for (int n = 0; n < 4; n++) {
            point.send(0, "m" + n);
            times[n] = point.readAll(point.queue(0)).get(n).getStoreTimestamp();
            long last = times[n];
            Wait.until("a later time", () -> System.currentTimeMillis() > last + 10);
        }
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("before all", point.admin.searchOffset(point.queue(0), times[0] - 1_000));
        seen.put("at the second", point.admin.searchOffset(point.queue(0), times[1]));
        seen.put("after the second", point.admin.searchOffset(point.queue(0), times[1] + 1));
        seen.put("after all", point.admin.searchOffset(point.queue(0), times[3] + 60_000));
        seen.put("lower bound of the third", point.admin.searchLowerBoundaryOffset(point.queue(0), times[2]));
        seen.put("upper bound of the third", point.admin.searchUpperBoundaryOffset(point.queue(0), times[2]));
        seen.put("lower bound between", point.admin.searchLowerBoundaryOffset(point.queue(0), times[2] + 1));
        seen.put("upper bound between", point.admin.searchUpperBoundaryOffset(point.queue(0), times[2] + 1));
        seen.put("lower bound after all", point.admin.searchLowerBoundaryOffset(point.queue(0), times[3] + 60_000));
        seen.put("upper bound after all", point.admin.searchUpperBoundaryOffset(point.queue(0), times[3] + 60_000));
        seen.put("in an empty queue", point.admin.searchOffset(point.queue(1), times[0]));
        seen.put("in an unknown queue", Plain.outcome(() -> point.admin.searchOffset(point.queue(9), times[0])));
        seen.put("bounds", List.of(point.admin.minOffset(point.queue(0)), point.admin.maxOffset(point.queue(0)),
            point.admin.minOffset(point.queue(1)), point.admin.maxOffset(point.queue(1)),
            point.admin.maxOffset(point.queue(9))));
        seen.put("earliest is the first", point.admin.earliestMsgStoreTime(point.queue(0)) == times[0]);
        seen.put("earliest of an empty queue", point.admin.earliestMsgStoreTime(point.queue(1)));
        return seen;
    }

    private static List<String> bodies(QueryResult result) {
        return Plain.sortedBodies(result.getMessageList());
    }

    private static Object byKey(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 6; n++) {
            point.send(n % 2, new Message(point.topic, "Tag", n % 3 == 0 ? "shared" : "shared own" + n, Plain.bytes("m" + n)));
        }
        long now = System.currentTimeMillis();
        Wait.until("the index", () -> {
            try {
                return point.admin.queryMessage(point.topic, "own5", 32, 0, now + 60_000).getMessageList().size() == 1;
            } catch (org.apache.rocketmq.client.exception.MQClientException notYet) {
                return false;
            }
        });
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("key of all", bodies(point.admin.queryMessage(point.topic, "shared", 32, 0, now + 60_000)));
        seen.put("key of all, at most 2", bodies(point.admin.queryMessage(point.topic, "shared", 2, 0, now + 60_000)));
        seen.put("key of one", bodies(point.admin.queryMessage(point.topic, "own4", 32, 0, now + 60_000)));
        seen.put("key of none", Plain.outcome(() -> point.admin.queryMessage(point.topic, "none", 32, 0, now + 60_000)));
        seen.put("time of none", Plain.outcome(() -> point.admin.queryMessage(point.topic, "shared", 32, 0, 1_000)));
        seen.put("newest first", Plain.bodies(point.admin.queryMessage(point.topic, "shared", 32, 0, now + 60_000)
            .getMessageList().stream().filter(message -> message.getQueueId() == 0).toList()));
        QueryMessageRequestHeader header = new QueryMessageRequestHeader();
        header.setTopic(point.topic);
        header.setKey("shared");
        header.setMaxNum(32);
        header.setBeginTimestamp(0L);
        header.setEndTimestamp(now + 60_000);
        seen.put("answer", point.site.answerOf(12, header, null));
        header.setKey("none");
        seen.put("answer to none", point.site.answerOf(12, header, null));
        return seen;
    }

    private static Object byUniqueKey(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        SendResult sent = point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("unique")));
        Wait.until("the index", () -> {
            try {
                return point.admin.queryMessage(Point.CLUSTER, point.topic, sent.getMsgId()) != null;
            } catch (org.apache.rocketmq.client.exception.MQClientException notYet) {
                return false;
            }
        });
        MessageExt found = point.admin.queryMessage(Point.CLUSTER, point.topic, sent.getMsgId());
        return Plain.map("found", Plain.message(found), "byView",
            Plain.body(point.producer().viewMessage(point.topic, sent.getMsgId())),
            "byResult", bodies(point.admin.queryMessageByUniqKey(Point.CLUSTER, point.topic, sent.getMsgId(), 32, 0,
                Long.MAX_VALUE)));
    }

    private static Object byId(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        SendResult sent = point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("by id")));
        ViewMessageRequestHeader header = new ViewMessageRequestHeader();
        header.setTopic(point.topic);
        header.setOffset(1_000_000_000_000L);
        Object beyond = point.site.answerOf(33, header, null);
        MessageExt found = point.producer().viewMessage(point.topic, sent.getOffsetMsgId());
        return Plain.map("found", Plain.message(found), "beyond the end", beyond);
    }

    private static Object entries(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        for (int n = 0; n < 3; n++) point.send(0, new Message(point.topic, "tag" + n, Plain.bytes("m" + n)));
        Wait.until("the entries", () -> point.admin.maxOffset(point.queue(0)) == 3);
        var page = point.admin.queryConsumeQueue(point.site.brokerAddr, point.topic, 0, 1, 10, null);
        return Plain.map("min", page.getMinQueueIndex(), "max", page.getMaxQueueIndex(), "entries",
            page.getQueueData().stream().map(entry -> entry.getPhysicSize() + " bytes, tag " + entry.getTagsCode()).toList());
    }
}
