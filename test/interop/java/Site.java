// The servers under test and how they are reached: their addresses, one admin client that all points share, requests of
// any code (remoting), and commands to the program that started the servers (one line out, one line back).

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.attribute.TopicMessageType;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

final class Site {
    private static final long REQUEST_TIMEOUT_MILLIS = 10_000;

    final List<String> nameServers;
    final String brokerAddr;
    final DefaultMQAdminExt admin = new DefaultMQAdminExt(REQUEST_TIMEOUT_MILLIS);
    private final BufferedReader answers =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    Site(String namesrvAddr, String brokerAddr) {
        this.nameServers = List.of(namesrvAddr.split(";"));
        this.brokerAddr = brokerAddr;
    }

    void start() throws Exception {
        admin.setNamesrvAddr(namesrvAddr());
        admin.setInstanceName("shared-admin");
        admin.start();
    }

    String namesrvAddr() {
        return String.join(";", nameServers);
    }

    MQClientInstance client() {
        return admin.getDefaultMQAdminExtImpl().getMqClientInstance();
    }

    /** Sends one request as it is and gives the answer as it is. */
    RemotingCommand ask(String address, int code, CommandCustomHeader header, byte[] body) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, header);
        request.setBody(body);
        return client().getMQClientAPIImpl().getRemotingClient().invokeSync(address, request, REQUEST_TIMEOUT_MILLIS);
    }

    /** Code and the names of the header fields of an answer. */
    static Map<String, Object> answer(RemotingCommand response) {
        Map<String, String> fields = response.getExtFields() == null ? Map.of() : response.getExtFields();
        return Plain.map("code", response.getCode(), "fields", List.copyOf(new TreeSet<>(fields.keySet())),
            "hasBody", response.getBody() != null && response.getBody().length > 0);
    }

    Map<String, Object> answerOf(int code, CommandCustomHeader header, byte[] body) throws Exception {
        return answer(ask(brokerAddr, code, header, body));
    }

    /** Creates a topic at the broker and waits until every name server knows it. */
    void createTopic(TopicConfig config) throws Exception {
        admin.createAndUpdateTopicConfig(brokerAddr, config);
        awaitRoute(config.getTopicName());
    }

    void createTopic(String topic, int queues) throws Exception {
        createTopic(new TopicConfig(topic, queues, queues));
    }

    void createTopic(String topic, int queues, TopicMessageType type) throws Exception {
        TopicConfig config = new TopicConfig(topic, queues, queues);
        config.setAttributes(new TreeMap<>(Map.of("+message.type", type.getValue())));
        createTopic(config);
    }

    void awaitRoute(String topic) throws Exception {
        for (String nameServer : nameServers) {
            Wait.until("route of " + topic + " at every name server", () -> hasRoute(nameServer, topic));
        }
    }

    boolean hasRoute(String nameServer, String topic) throws Exception {
        GetRouteInfoRequestHeader header = new GetRouteInfoRequestHeader();
        header.setTopic(topic);
        return ask(nameServer, 105, header, null).getCode() == 0;
    }

    /** Has the program that started the servers do something, and waits until it is done. */
    synchronized void command(String what) throws IOException {
        System.out.println("@" + what);
        System.out.flush();
        String answer = answers.readLine();
        if (!("done " + what).equals(answer)) throw new IOException("asked for " + what + ", was told " + answer);
    }
}
