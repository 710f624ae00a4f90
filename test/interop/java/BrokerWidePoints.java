// Settings of the whole broker, which all points would feel: they run alone, and each puts back what it changed.

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

final class BrokerWidePoints {
    private BrokerWidePoints() {}

    static void addTo(PointList points) {
        points.add("broker that may not be read", BrokerWidePoints::notReadable);
        points.add("write permission of the broker taken away", BrokerWidePoints::wiped);
    }

    private static void set(Site site, String name, String value) throws Exception {
        Properties properties = new Properties();
        properties.setProperty(name, value);
        site.admin.updateBrokerConfig(site.brokerAddr, properties);
    }

    private static Object notReadable(Point point) throws Exception {
        point.site.createTopic(point.topic, 1);
        point.send(0, "m");
        Map<String, Object> seen = new LinkedHashMap<>();
        for (String permission : List.of("2", "4", "6")) {
            set(point.site, "brokerPermission", permission);
            seen.put("pull under " + permission, Plain.outcome(() ->
                point.puller().pull(point.queue(0), "*", 0, 1).getPullStatus().name()));
            seen.put("send under " + permission, Plain.outcome(() -> point.send(0, "n").getSendStatus().name()));
        }
        return seen;
    }

    private static Object wiped(Point point) throws Exception {
        point.site.createTopic(point.topic, 2);
        Map<String, Object> seen = new LinkedHashMap<>();
        int wiped = 0;
        for (String nameServer : point.site.nameServers) wiped += point.admin.wipeWritePermOfBroker(nameServer, Point.BROKER);
        seen.put("wiped some", wiped > 0);
        seen.put("perm", point.admin.examineTopicRouteInfo(point.topic).getQueueDatas().get(0).getPerm());
        DefaultMQProducer producer = point.newProducer("-new", null);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        seen.put("send", Plain.outcome(() -> producer.send(new Message(point.topic, Plain.bytes("m"))).getSendStatus().name()));
        int added = 0;
        for (String nameServer : point.site.nameServers) added += point.admin.addWritePermOfBroker(nameServer, Point.BROKER);
        seen.put("added as many", added == wiped);
        seen.put("perm again", point.admin.examineTopicRouteInfo(point.topic).getQueueDatas().get(0).getPerm());
        seen.put("unknown broker", Plain.outcome(() ->
            point.admin.wipeWritePermOfBroker(point.site.nameServers.get(0), "no-such-broker")));
        return seen;
    }
}
