// The name server: KV configuration, order configuration and the route that shows it, its own configuration.

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetKVConfigRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;

final class NameServerPoints {
    private NameServerPoints() {}

    static void addTo(PointList points) {
        points.add("KV configuration", NameServerPoints::keyValues);
        points.add("order configuration", NameServerPoints::order);
        points.add("configuration of the name server", NameServerPoints::configuration);
        points.add("configuration of the name server, names of the keys", NameServerPoints::configurationNames);
        points.add("answers of the name server, by code", NameServerPoints::answers);
    }

    private static Object keyValues(Point point) throws Exception {
        Map<String, Object> seen = new LinkedHashMap<>();
        point.admin.createAndUpdateKvConfig("Points", "colour", "blau ☂ = \"x\"");
        point.admin.createAndUpdateKvConfig("Points", "size", "1");
        point.admin.createAndUpdateKvConfig("Points", "size", "2");
        seen.put("value", point.admin.getKVConfig("Points", "colour"));
        seen.put("list", new TreeMap<>(point.admin.getKVListByNamespace("Points").getTable()));
        point.admin.deleteKvConfig("Points", "size");
        seen.put("after deletion", new TreeMap<>(point.admin.getKVListByNamespace("Points").getTable()));
        seen.put("deleted value", Plain.outcome(() -> point.admin.getKVConfig("Points", "size")));
        seen.put("unknown namespace", Plain.outcome(() -> point.admin.getKVListByNamespace("Nowhere")));
        return seen;
    }

    private static Object order(Point point) throws Exception {
        Properties on = new Properties();
        on.setProperty("orderMessageEnable", "true");
        point.admin.updateNameServerConfig(on, point.site.nameServers);
        point.site.createTopic(point.topic, 4);
        point.admin.createOrUpdateOrderConf(point.topic, Point.BROKER + ":2", true);
        String configured = point.admin.getKVConfig("ORDER_TOPIC_CONFIG", point.topic);
        // Producers take the queues of the order configuration.
        int queues = point.producer().fetchPublishMessageQueues(point.topic).size();
        String inRoute = point.admin.examineTopicRouteInfo(point.topic).getOrderTopicConf();
        point.admin.createOrUpdateOrderConf(point.topic, Point.BROKER + ":3", false);
        return Plain.map("configured", configured, "queues", queues, "inRoute", inRoute, "added",
            point.admin.getKVConfig("ORDER_TOPIC_CONFIG", point.topic));
    }

    private static Object configuration(Point point) throws Exception {
        String address = point.site.nameServers.get(0);
        Properties properties = point.admin.getNameServerConfig(List.of(address)).get(address);
        Properties change = new Properties();
        change.setProperty("scanNotActiveBrokerInterval", "6000");
        point.admin.updateNameServerConfig(change, List.of(address));
        Properties refused = new Properties();
        refused.setProperty("kvConfigPath", "/x");
        return Plain.map("listenPort", properties.getProperty("listenPort").isEmpty(), "changed",
            point.admin.getNameServerConfig(List.of(address)).get(address).getProperty("scanNotActiveBrokerInterval"),
            "refused", Plain.outcome(() -> {
                point.admin.updateNameServerConfig(refused, List.of(address));
                return "done";
            }));
    }

    private static Object configurationNames(Point point) throws Exception {
        String address = point.site.nameServers.get(0);
        return point.admin.getNameServerConfig(List.of(address)).get(address).stringPropertyNames().stream().sorted().toList();
    }

    private static Object answers(Point point) throws Exception {
        String address = point.site.nameServers.get(1);
        Map<String, Object> seen = new LinkedHashMap<>();
        GetRouteInfoRequestHeader route = new GetRouteInfoRequestHeader();
        route.setTopic("T-nowhere");
        seen.put("unknown topic", Site.answer(point.site.ask(address, 105, route, null)));
        route.setTopic("TBW102");
        seen.put("template", Site.answer(point.site.ask(address, 105, route, null)));
        route.setAcceptStandardJsonOnly(true);
        seen.put("template, strict JSON", new TreeMap<>(com.alibaba.fastjson2.JSON.parseObject(
            Plain.text(new String(point.site.ask(address, 105, route, null).getBody())))));
        route.setAcceptStandardJsonOnly(false);
        String loose = Plain.text(new String(point.site.ask(address, 105, route, null).getBody()));
        seen.put("keys of brokers are numbers", loose.contains("{0:"));
        GetKVConfigRequestHeader key = new GetKVConfigRequestHeader();
        key.setNamespace("Nowhere");
        key.setKey("nothing");
        seen.put("unknown key", Site.answer(point.site.ask(address, 101, key, null)));
        return seen;
    }
}
