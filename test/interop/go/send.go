// Sending in every way that the client has: one by one, in batches, to chosen queues, to topics that are not there yet.

package main

import (
	"bytes"
	"context"
	"math/rand"
	"sort"
	"strings"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func sendPoints() []point {
	return []point{
		{"send.sync", sendSync}, {"send.async", sendAsync}, {"send.oneWay", sendOneWay}, {"send.batch", sendBatch},
		{"send.batchAsync", sendBatchAsync}, {"send.compressed", sendCompressed}, {"send.large", sendLarge},
		{"send.byHash", sendByHash}, {"send.byHand", sendByHand}, {"send.roundRobin", sendRoundRobin},
		{"send.autoCreate", sendAutoCreate}, {"send.autoCreateFewQueues", sendAutoCreateFewQueues},
		{"send.namespace", sendNamespace},
	}
}

var background = context.Background()

func toQueue0(topic, body string) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(body))
	m.Queue = queue(topic, 0)
	return m
}

// oneQueue makes a producer whose messages go where they say, so that offsets are the same in every run.
func oneQueue() producer.Option { return producer.WithQueueSelector(producer.NewManualQueueSelector()) }

func sendSync(s *site) any {
	topic := s.topic("GoSendSync", 1)
	p := s.producer("PID_GoSendSync", oneQueue())
	plain := toQueue0(topic, "1 plain")
	rich := toQueue0(topic, "2 rich: Zürich 東京 🚀").WithTag("TagA").WithKeys([]string{"order-1", "customer-1"})
	rich.WithProperty("city", "Zürich")
	rich.WithProperty("mark", "a=b;c d")
	rich.Flag = 42
	sharded := toQueue0(topic, "3 sharded").WithShardingKey("shard-7")
	hasty := toQueue0(topic, "4 not waited for")
	hasty.WithProperty(primitive.PropertyWaitStoreMsgOk, "false")
	var results []object
	for _, m := range []*primitive.Message{plain, rich, sharded, hasty} {
		results = append(results, s.sent(p.SendSync(background, m)))
	}
	return object{"results": results, "stored": s.messages(s.readUntil(topic, 1, 4))}
}

func sendAsync(s *site) any {
	topic := s.topic("GoSendAsync", 1)
	p := s.producer("PID_GoSendAsync", oneQueue())
	results := make(chan object, 3)
	for _, body := range []string{"1", "2", "3"} {
		check(p.SendAsync(background, func(_ context.Context, result *primitive.SendResult, err error) {
			results <- s.sent(result, err)
		}, toQueue0(topic, body)))
	}
	all := []object{<-results, <-results, <-results}
	sort.Slice(all, func(a, b int) bool { return all[a]["queueOffset"].(int64) < all[b]["queueOffset"].(int64) })
	return object{"results": all, "stored": sortedBodies(s.readUntil(topic, 1, 3))}
}

func sendOneWay(s *site) any {
	topic := s.topic("GoSendOneWay", 1)
	p := s.producer("PID_GoSendOneWay", oneQueue())
	check(p.SendOneWay(background, toQueue0(topic, "1").WithTag("TagA")))
	// Upstream's threads may take two that come at once in any order.
	s.readUntil(topic, 1, 1)
	check(p.SendOneWay(background, toQueue0(topic, "2"), toQueue0(topic, "3")))
	stored := s.readUntil(topic, 1, 3)
	return s.messages(stored)
}

func sendBatch(s *site) any {
	topic := s.topic("GoSendBatch", 1)
	p := s.producer("PID_GoSendBatch", oneQueue())
	first := toQueue0(topic, "1").WithTag("TagA").WithKeys([]string{"k1"})
	second := toQueue0(topic, "2")
	second.WithProperty("city", "Zürich")
	second.Flag = 7
	result := s.sent(p.SendSync(background, first, second, toQueue0(topic, "3")))
	return object{"result": result, "stored": s.messages(s.readUntil(topic, 1, 3))}
}

func sendBatchAsync(s *site) any {
	topic := s.topic("GoSendBatchAsync", 1)
	p := s.producer("PID_GoSendBatchAsync", oneQueue())
	results := make(chan object, 1)
	check(p.SendAsync(background, func(_ context.Context, result *primitive.SendResult, err error) {
		results <- s.sent(result, err)
	}, toQueue0(topic, "1"), toQueue0(topic, "2")))
	return object{"result": <-results, "stored": s.messages(s.readUntil(topic, 1, 2))}
}

func sendCompressed(s *site) any {
	topic := s.topic("GoSendCompressed", 1)
	p := s.producer("PID_GoSendCompressed", oneQueue(), producer.WithCompressMsgBodyOverHowmuch(1000))
	result := s.sent(p.SendSync(background, toQueue0(topic, strings.Repeat("compress me ", 10_000))))
	_, received := s.consume("GID_GoSendCompressed", topic, "*")
	return object{"result": result, "received": s.messages(received.wait(1))}
}

func sendLarge(s *site) any {
	topic := s.topic("GoSendLarge", 1)
	p := s.producer("PID_GoSendLarge", oneQueue(), producer.WithCompressMsgBodyOverHowmuch(10_000_000))
	body := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(body)
	m := toQueue0(topic, "")
	m.Body = body
	result := s.sent(p.SendSync(background, m))
	stored := s.readUntil(topic, 1, 1)
	return object{"result": result, "same": len(stored) == 1 && bytes.Equal(stored[0].Body, body)}
}

func queueOfEach(s *site, p interface {
	SendSync(context.Context, ...*primitive.Message) (*primitive.SendResult, error)
}, messages ...*primitive.Message) []int {
	var queues []int
	for _, m := range messages {
		queues = append(queues, must(p.SendSync(background, m)).MessageQueue.QueueId)
	}
	return queues
}

func sendByHash(s *site) any {
	topic := s.topic("GoSendByHash", 8)
	p := s.producer("PID_GoSendByHash", producer.WithQueueSelector(producer.NewHashQueueSelector()))
	var messages []*primitive.Message
	for _, key := range []string{"a", "b", "c", "a", "b", "c", "Zürich", "Zürich"} {
		messages = append(messages, primitive.NewMessage(topic, []byte(key)).WithShardingKey(key))
	}
	return queueOfEach(s, p, messages...)
}

func sendByHand(s *site) any {
	topic := s.topic("GoSendByHand", 4)
	p := s.producer("PID_GoSendByHand", oneQueue())
	var messages []*primitive.Message
	for _, id := range []int{3, 1, 0, 2, 3} {
		m := primitive.NewMessage(topic, []byte(itoa(id)))
		m.Queue = queue(topic, id)
		messages = append(messages, m)
	}
	return queueOfEach(s, p, messages...)
}

func sendRoundRobin(s *site) any {
	topic := s.topic("GoSendRoundRobin", 4)
	p := s.producer("PID_GoSendRoundRobin")
	var messages []*primitive.Message
	for n := 0; n < 8; n++ {
		messages = append(messages, primitive.NewMessage(topic, []byte(itoa(n))))
	}
	return queueOfEach(s, p, messages...)
}

func sendAutoCreate(s *site) any {
	const topic = "GoSendAutoCreate"
	p := s.producer("PID_GoSendAutoCreate")
	queues := queueOfEach(s, p, primitive.NewMessage(topic, []byte("1")), primitive.NewMessage(topic, []byte("2")))
	s.awaitRoute(topic)
	return object{"queues": queues, "route": s.route(topic), "config": s.topicConfig(topic), "stored": sortedBodies(s.readUntil(topic, 4, 2))}
}

func sendAutoCreateFewQueues(s *site) any {
	const topic = "GoSendAutoCreateFewQueues"
	p := s.producer("PID_GoSendAutoCreateFewQueues", producer.WithDefaultTopicQueueNums(2))
	// Which of the two queues it is, the client's round robin decides, which starts anywhere.
	queues := queueOfEach(s, p, primitive.NewMessage(topic, []byte("1")))
	s.awaitRoute(topic)
	return object{"isOneOfTwo": queues[0] < 2, "route": s.route(topic)}
}

// In a namespace topics and groups are called <namespace>%<name>.
func sendNamespace(s *site) any {
	const namespace = "GoSpace"
	s.topic(namespace+"%GoSendNamespace", 1)
	p := s.producer("PID_GoSendNamespace", producer.WithNamespace(namespace))
	result := s.sent(p.SendSync(background, primitive.NewMessage("GoSendNamespace", []byte("1"))))
	_, received := s.consume("GID_GoSendNamespace", "GoSendNamespace", "*", consumer.WithNamespace(namespace))
	return object{"result": result, "received": s.messages(received.wait(1))}
}

// route is what the name server answers, and topicConfig what the broker has.
func (s *site) route(topic string) any {
	a := s.ask(s.aNamesrv(), getRoute, fields{"topic": topic, "acceptStandardJsonOnly": "true"}, nil)
	if a.code != 0 {
		return s.refusal(a)
	}
	return s.decoded(a.body)
}

func (s *site) topicConfig(topic string) any {
	a := s.ask(s.broker, getTopicConfig, fields{"topic": topic}, nil)
	if a.code != 0 {
		return s.refusal(a)
	}
	return s.decoded(a.body)
}
