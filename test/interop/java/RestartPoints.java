// Servers that go and come back while clients go on: one of two name servers, and the broker. Nothing that was
// acknowledged is lost, nothing has to be restarted on the side of the clients.

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetKVConfigRequestHeader;

final class RestartPoints {
    private RestartPoints() {}

    static void addTo(PointList points) {
        points.add("one of two name servers goes down and comes back", RestartPoints::nameServerDown);
        points.add("broker restarted under running clients", RestartPoints::brokerRestarted);
    }

    private static Object nameServerDown(Point point) throws Exception {
        Site site = point.site;
        String first = site.nameServers.get(0);
        site.createTopic(point.topic, 1);
        point.admin.createAndUpdateKvConfig("Kept", "colour", "blue");
        Inbox inbox = new Inbox();
        point.consume("*", inbox);
        point.send(0, "before");
        inbox.await(1);
        Map<String, Object> seen = new LinkedHashMap<>();
        String created = point.topic + "-new";
        site.command("stop namesrv-0");
        try {
            point.send(0, "while it is down");
            inbox.await(2);
            DefaultMQProducer producer = point.newProducer("-new", null);
            producer.start();
            // The client takes a name server at random; when that one is down the call fails, and the next asks the other.
            Wait.until("a topic created while it is down", () ->
                Plain.outcome(() -> producer.send(new Message(created, Plain.bytes("m"))).getSendStatus().name())
                    .equals("SEND_OK"));
            Wait.until("the topic at the other", () -> site.hasRoute(site.nameServers.get(1), created));
            seen.put("KV at the other", value(site, site.nameServers.get(1)));
        } finally {
            site.command("start namesrv-0");
        }
        // Brokers register again within ten seconds.
        Wait.until("the topics at the first", 30_000, () -> site.hasRoute(first, point.topic) && site.hasRoute(first, created));
        seen.put("KV at the first", value(site, first));
        point.send(0, "after");
        seen.put("received", Plain.bodies(inbox.await(3)));
        return seen;
    }

    private static Object value(Site site, String nameServer) throws Exception {
        GetKVConfigRequestHeader header = new GetKVConfigRequestHeader();
        header.setNamespace("Kept");
        header.setKey("colour");
        return site.ask(nameServer, 101, header, null).getExtFields();
    }

    private static Object brokerRestarted(Point point) throws Exception {
        Site site = point.site;
        site.createTopic(point.topic, 4);
        String orders = point.topic + "-orders";
        site.createTopic(orders, 2);
        Inbox plain = new Inbox();
        point.consume("*", plain);
        Inbox orderly = new Inbox();
        DefaultMQPushConsumer ordered = point.newConsumer(point.group + "-orders", "-orders", null);
        ordered.subscribe(orders, "*");
        ordered.registerMessageListener(orderly.orderly(50));
        ordered.start();
        Set<String> acknowledged = new ConcurrentSkipListSet<>();
        AtomicBoolean isOver = new AtomicBoolean();
        DefaultMQProducer producer = point.newProducer("-load", null);
        producer.setSendMsgTimeout(2_000);
        producer.start();
        Thread load = new Thread(() -> {
            for (int n = 0; !isOver.get() && !Thread.currentThread().isInterrupted(); n++) {
                String topic = n % 2 == 0 ? point.topic : orders;
                String body = String.format("%06d", n);
                try {
                    producer.send(new Message(topic, Plain.bytes(body)), point.queue(topic, n / 2 % 2));
                    acknowledged.add(topic + " " + body);
                    Thread.sleep(5);
                } catch (InterruptedException over) {
                    return;
                } catch (Exception away) {
                    // Not acknowledged: the message counts for nothing, the next is tried.
                    Thread.onSpinWait();
                }
            }
        });
        load.start();
        Map<String, Object> seen = new LinkedHashMap<>();
        try {
            Wait.until("some messages", () -> plain.count() > 50 && orderly.count() > 50);
            site.command("stop broker");
            try {
                for (String nameServer : site.nameServers) {
                    Wait.until("no route", () -> !site.hasRoute(nameServer, point.topic));
                }
                seen.put("hasRouteWhileDown", false);
            } finally {
                site.command("start broker");
            }
            int before = acknowledged.size();
            Wait.until("messages again", 45_000, () -> acknowledged.size() > before + 100);
        } finally {
            isOver.set(true);
            load.join(20_000);
        }
        Set<String> received = new TreeSet<>();
        Wait.until("all that was acknowledged", 45_000, () -> {
            plain.all().forEach(message -> received.add(message.getTopic() + " " + Plain.body(message)));
            orderly.all().forEach(message -> received.add(message.getTopic() + " " + Plain.body(message)));
            return received.containsAll(acknowledged);
        });
        Map<Integer, String> last = new TreeMap<>();
        AtomicBoolean isInOrder = new AtomicBoolean(true);
        Set<String> known = new TreeSet<>();
        orderly.all().forEach(message -> {
            // A message may come twice around the restart: what counts is the order of first arrivals.
            if (!known.add(Plain.body(message))) return;
            String previous = last.put(message.getQueueId(), Plain.body(message));
            if (previous != null && previous.compareTo(Plain.body(message)) > 0) isInOrder.set(false);
        });
        seen.put("allReceived", true);
        seen.put("isInOrder", isInOrder.get());
        // The broker works before every name server has heard of it again.
        site.awaitRoute(point.topic);
        site.awaitRoute(orders);
        seen.put("topicsKept", true);
        seen.put("groupsKept", point.admin.getAllSubscriptionGroup(site.brokerAddr, 10_000).getSubscriptionGroupTable()
            .containsKey(point.group));
        return seen;
    }
}
