// What is not taken, by which code. The texts are noted apart (see site.note).

package main

import (
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// What a broker does not take, and how a Go producer learns of it.
func refusalPoints() []point {
	refused := func(name string, of func(s *site, topic string) *primitive.Message, options ...producer.Option) point {
		return point{"refusal." + name, func(s *site) any {
			m := of(s, "GoRefusal-"+name)
			return s.sent(s.producer("PID_GoRefusal-"+name, append(options, oneQueue())...).SendSync(background, m))
		}}
	}
	to := func(topic string) func(*site, string) *primitive.Message {
		return func(*site, string) *primitive.Message { return toQueue0(topic, "1") }
	}
	with := func(change func(m *primitive.Message)) func(*site, string) *primitive.Message {
		return func(s *site, topic string) *primitive.Message {
			m := toQueue0(s.topic(topic, 4), "1")
			change(m)
			return m
		}
	}
	return []point{
		refused("illegalName", to("Go!Refused")),
		refused("longName", to("Go"+strings.Repeat("x", 126))),
		refused("longestName", to("Go"+strings.Repeat("x", 125))),
		refused("scheduleTopic", to("SCHEDULE_TOPIC_XXXX")),
		refused("halfTopic", to("RMQ_SYS_TRANS_HALF_TOPIC")),
		refused("templateTopic", to("TBW102")),
		refused("noTemplate", to("GoRefusedNoTemplate"), producer.WithCreateTopicKey("NoSuchTemplate")),
		refused("queueBeyond", with(func(m *primitive.Message) { m.Queue.QueueId = 99 })),
		refused("anyQueue", with(func(m *primitive.Message) { m.Queue.QueueId = 3 })),
		refused("emptyBody", with(func(m *primitive.Message) { m.Body = nil })),
		refused("largeBody", with(func(m *primitive.Message) { m.Body = make([]byte, 5<<20) }),
			producer.WithCompressMsgBodyOverHowmuch(10_000_000)),
		refused("largeProperties", with(func(m *primitive.Message) { m.WithProperty("p", strings.Repeat("x", 33_000)) })),
		refused("delayBeyond", with(func(m *primitive.Message) { m.WithDelayTimestamp(time.Now().AddDate(0, 0, 4)) })),
		refused("retryTopicOfNobody", to("%RETRY%GID_GoNobody")),
		{"refusal.readOnlyTopic", refusalReadOnlyTopic},
		{"refusal.writeOnlyTopic", refusalWriteOnlyTopic},
	}
}

func (s *site) topicWithPerm(name string, perm int) string {
	a := s.admin()
	defer a.Close()
	s.create(a, name, admin.WithReadQueueNums(1), admin.WithWriteQueueNums(1), admin.WithPerm(perm))
	return name
}

func refusalReadOnlyTopic(s *site) any {
	topic := s.topicWithPerm("GoRefusalReadOnly", 4)
	return object{
		"byRoute": s.sent(s.producer("PID_GoRefusalReadOnly").SendSync(background, primitive.NewMessage(topic, []byte("1")))),
		"route":   s.route(topic),
	}
}

func refusalWriteOnlyTopic(s *site) any {
	topic := s.topicWithPerm("GoRefusalWriteOnly", 2)
	result := s.sent(s.producer("PID_GoRefusalWriteOnly").SendSync(background, primitive.NewMessage(topic, []byte("1"))))
	return object{"result": result, "pull": s.refusal(s.pullOnce(topic, 0, 0, fields{}))}
}
