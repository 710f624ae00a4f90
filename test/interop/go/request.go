// Requests that are answered by a message, through the connection of the one who asked.

package main

import (
	"context"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func requestPoints() []point {
	return []point{
		{"request.sync", requestSync}, {"request.async", requestAsync}, {"request.unanswered", requestUnanswered},
		{"request.toNobody", requestToNobody},
	}
}

// answering starts a consumer that replies to each request with its body and a greeting.
func (s *site) answering(name, topic string) (requests *inbox, replies chan object) {
	requests, replies = new(inbox), make(chan object, 10)
	p := s.producer("PID_GoReply-" + name)
	c := s.consumer("GID_GoReply-" + name)
	check(c.Subscribe(topic, tagged("*"), func(_ context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range of {
			requests.add(m)
			reply, err := consumer.CreateReplyMessage(m, nil)
			if err != nil {
				replies <- object{"error": s.failure(err)}
				continue
			}
			reply.Body = []byte("hello " + string(m.Body))
			result := s.sent(p.SendSync(background, reply))
			// Replies of all points go to one topic.
			for _, shared := range []string{"queueId", "queueOffset"} {
				delete(result, shared)
			}
			replies <- result
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(c.Start())
	return requests, replies
}

// requester starts a producer that the broker knows: this client asks before its first heartbeat otherwise.
func (s *site) requester(name string) rocketmq.Producer {
	group := "PID_GoRequest-" + name
	warm := s.topic("GoRequestWarm-"+name, 1)
	p := s.producer(group)
	must(p.SendSync(background, primitive.NewMessage(warm, []byte("warm"))))
	s.awaitProducer(group)
	return p
}

// awaitProducer waits for the first heartbeat, which this client sends a second after its start.
func (s *site) awaitProducer(group string) {
	await("the heartbeat of "+group, func() bool {
		return s.ask(s.broker, producerClients, fields{"producerGroup": group}, nil).code == 0
	})
}

func (s *site) replied(m *primitive.Message, err error) object {
	if err != nil {
		return object{"error": s.failure(err)}
	}
	return object{"topic": m.Topic, "body": string(m.Body), "flag": m.Flag, "properties": s.properties(m.GetProperties())}
}

func requestSync(s *site) any {
	topic := s.topic("GoRequestSync", 1)
	requests, replies := s.answering("Sync", topic)
	p := s.requester("Sync")
	replied := s.replied(p.Request(background, 20*time.Second, primitive.NewMessage(topic, []byte("world")).WithTag("TagA")))
	return object{"request": s.messages(requests.wait(1)), "replySent": <-replies, "reply": replied}
}

func requestAsync(s *site) any {
	topic := s.topic("GoRequestAsync", 1)
	_, replies := s.answering("Async", topic)
	p := s.requester("Async")
	answers := make(chan object, 10)
	check(p.RequestAsync(background, 20*time.Second, func(_ context.Context, m *primitive.Message, err error) {
		answers <- s.replied(m, err)
	}, primitive.NewMessage(topic, []byte("world"))))
	return object{"reply": <-answers, "replySent": <-replies}
}

func requestUnanswered(s *site) any {
	topic := s.topic("GoRequestUnanswered", 1)
	return s.replied(s.requester("Unanswered").Request(background, 2*time.Second, primitive.NewMessage(topic, []byte("1"))))
}

// A reply to a client that the broker does not know.
func requestToNobody(s *site) any {
	reply := primitive.NewMessage(clusterName+"_REPLY_TOPIC", []byte("to whom?"))
	reply.WithProperty(primitive.PropertyMsgType, "reply")
	reply.WithProperty(primitive.PropertyCorrelationID, "correlation-1")
	reply.WithProperty(primitive.PropertyMessageReplyToClient, "nobody@1")
	reply.WithProperty(primitive.PropertyMessageTTL, "3")
	return s.sent(s.producer("PID_GoRequestToNobody").SendSync(background, reply))
}
