// What tools read about the broker and the cluster: running figures by name, configuration by name, topics and routes,
// statistics of topics and groups, upkeep on demand.

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.body.BrokerStatsData;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;

final class AdminPoints {
    private AdminPoints() {}

    static void addTo(PointList points) {
        points.add("broker runtime info", AdminPoints::runtimeInfo);
        points.add("broker configuration", AdminPoints::configuration);
        points.add("broker configuration, names of the keys", AdminPoints::configurationNames);
        points.add("broker configuration changed", AdminPoints::configurationChanged);
        points.add("broker configuration, value that is not one", point -> change(point, "transactionCheckMax", "many"));
        points.add("cluster and route", AdminPoints::cluster);
        points.add("system topics", AdminPoints::systemTopics);
        points.add("topic statistics", AdminPoints::topicStatistics);
        points.add("figures of topics and groups", AdminPoints::figures);
        points.add("upkeep on demand", AdminPoints::upkeep);
        points.add("track of a message", AdminPoints::track);
        points.add("request code that nobody knows", AdminPoints::unknownCode);
    }

    private static Object runtimeInfo(Point point) throws Exception {
        Map<String, String> table = point.admin.fetchBrokerRuntimeStats(point.site.brokerAddr).getTable();
        Map<String, Object> values = new TreeMap<>();
        for (String name : List.of("brokerVersionDesc", "brokerVersion", "brokerActive", "startAcceptSendRequestTimeStamp",
            "dispatchMaxBuffer", "sendThreadPoolQueueCapacity", "pullThreadPoolQueueCapacity")) {
            values.put(name, table.get(name));
        }
        // One figure for each delay level that is used; and how long puts took, which is known after a first minute.
        List<String> names = table.keySet().stream().filter(name -> !name.startsWith("scheduleMessageOffset_")
            && !name.equals("putMessageDistributeTime"))
            .map(name -> name.replaceAll("_/.*", "_PATH")).sorted().toList();
        return Plain.map("names", names, "values", values);
    }

    private static Object configuration(Point point) throws Exception {
        Properties properties = point.admin.getBrokerConfig(point.site.brokerAddr);
        Map<String, String> values = new TreeMap<>();
        for (String name : List.of("brokerName", "brokerClusterName", "brokerId", "brokerRole", "flushDiskType",
            "autoCreateTopicEnable", "deleteWhen", "maxMessageSize", "defaultTopicQueueNums", "messageDelayLevel",
            "enablePropertyFilter", "transactionTimeOut", "transactionCheckMax", "maxIndexNum", "longPollingEnable")) {
            values.put(name, properties.getProperty(name));
        }
        return values;
    }

    private static Object configurationNames(Point point) throws Exception {
        return point.admin.getBrokerConfig(point.site.brokerAddr).stringPropertyNames().stream().sorted().toList();
    }

    private static Object change(Point point, String name, String value) throws Exception {
        return Plain.outcome(() -> {
            Properties properties = new Properties();
            properties.setProperty(name, value);
            point.admin.updateBrokerConfig(point.site.brokerAddr, properties);
            return String.valueOf(point.admin.getBrokerConfig(point.site.brokerAddr).getProperty(name));
        });
    }

    private static Object configurationChanged(Point point) throws Exception {
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("known key", change(point, "defaultQueryMaxNum", "33"));
        seen.put("back", change(point, "defaultQueryMaxNum", "32"));
        seen.put("unknown key", change(point, "noSuchKey", "1"));
        seen.put("listed as not changeable", change(point, "configBlackList", "x"));
        seen.put("also listed", change(point, "brokerConfigPath", "/x"));
        return seen;
    }

    private static Object cluster(Point point) throws Exception {
        point.site.createTopic(point.topic, 3);
        var info = point.admin.examineBrokerClusterInfo();
        var route = point.admin.examineTopicRouteInfo(point.topic);
        List<Object> brokers = new ArrayList<>();
        for (BrokerData data : route.getBrokerDatas()) {
            brokers.add(Plain.map("name", data.getBrokerName(), "cluster", data.getCluster(),
                "ids", data.getBrokerAddrs().keySet().stream().sorted().toList(),
                "isTheAddress", data.getBrokerAddrs().containsValue(point.site.brokerAddr)));
        }
        return Plain.map("clusters", new TreeMap<>(info.getClusterAddrTable()), "brokers",
            Plain.sorted(info.getBrokerAddrTable().keySet()), "route", brokers, "order", route.getOrderTopicConf(),
            "filterServers", route.getFilterServerTable().size(), "queues", route.getQueueDatas().size(),
            "ofTopic", Plain.sorted(point.admin.getTopicClusterList(point.topic)),
            "ofBroker", Plain.sorted(point.admin.getClusterList(point.topic)),
            "isInCluster", point.admin.fetchTopicsByCLuster(Point.CLUSTER).getTopicList().contains(point.topic),
            "unknown topic", Plain.outcome(() -> point.admin.examineTopicRouteInfo("T-nowhere")));
    }

    private static Object systemTopics(Point point) throws Exception {
        var api = point.site.client().getMQClientAPIImpl();
        return Plain.map("broker", Plain.sorted(api.getSystemTopicListFromBroker(point.site.brokerAddr, 10_000).getTopicList()),
            "name server", Plain.sorted(api.getSystemTopicList(10_000).getTopicList()));
    }

    private static Object topicStatistics(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        for (int n = 0; n < 3; n++) point.send(0, "m" + n);
        Wait.until("the messages", () -> point.admin.maxOffset(point.queue(0)) == 3);
        Map<String, Object> queues = new TreeMap<>();
        point.admin.examineTopicStats(point.topic).getOffsetTable().forEach((queue, offsets) ->
            queues.put("queue " + queue.getQueueId(), Plain.map("min", offsets.getMinOffset(), "max", offsets.getMaxOffset(),
                "hasTime", offsets.getLastUpdateTimestamp() > 0)));
        return queues;
    }

    private static Object figures(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        for (int n = 0; n < 3; n++) point.send(0, "m" + n);
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        inbox.await(3);
        String both = point.topic + "@" + point.group;
        Map<String, Object> seen = new LinkedHashMap<>();
        for (String[] name : new String[][] {{"TOPIC_PUT_NUMS", point.topic}, {"TOPIC_PUT_SIZE", point.topic},
            {"GROUP_GET_NUMS", both}, {"GROUP_GET_SIZE", both}, {"SNDBCK_PUT_NUMS", both}, {"NO_SUCH_FIGURE", point.topic},
            {"TOPIC_PUT_NUMS", "T-nowhere"}}) {
            seen.put(name[0] + " of " + name[1], Plain.outcome(() -> {
                BrokerStatsData data = point.admin.viewBrokerStatsData(point.site.brokerAddr, name[0], name[1]);
                return data.getStatsMinute().getSum() >= 0 && data.getStatsHour() != null && data.getStatsDay() != null;
            }));
        }
        return seen;
    }

    private static Object upkeep(Point point) throws Exception {
        return Plain.map("queues", point.admin.cleanExpiredConsumerQueueByAddr(point.site.brokerAddr), "topics",
            point.admin.cleanUnusedTopicByAddr(point.site.brokerAddr), "log",
            point.admin.deleteExpiredCommitLogByAddr(point.site.brokerAddr));
    }

    private static Object track(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        var sent = point.send(0, new Message(point.topic, "Tag", "key", Plain.bytes("tracked")));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = point.consume("*", inbox);
        inbox.await(1);
        DefaultMQPushConsumer other = point.newConsumer(point.group + "-filter", "-filter", null);
        other.subscribe(point.topic, "Another");
        other.registerMessageListener(new Inbox().concurrently());
        other.start();
        Wait.until("the committed offset", () -> {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return point.admin.examineConsumeStats(point.group, point.topic).getOffsetTable().values().stream()
                .mapToLong(each -> each.getConsumerOffset()).sum() == 1;
        });
        var message = point.admin.viewMessage(point.topic, sent.getOffsetMsgId());
        Map<String, String> tracks = new TreeMap<>();
        point.admin.messageTrackDetail(message).forEach(each ->
            tracks.put(each.getConsumerGroup(), each.getTrackType().name()));
        tracks.keySet().removeIf(group -> !group.startsWith(point.group));
        return tracks;
    }

    private static Object unknownCode(Point point) throws Exception {
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("broker", point.site.answerOf(9_999, null, null));
        seen.put("name server", Site.answer(point.site.ask(point.site.nameServers.get(0), 9_999, null, null)));
        return seen;
    }
}
