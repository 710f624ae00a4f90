// Messages that a consumer could not handle: delivered again later, and in the end dead letters.

package main

import (
	"context"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func retryPoints() []point {
	return []point{
		{"retry.deadLetter", retryDeadLetter}, {"retry.firstDelay", retryFirstDelay}, {"retry.fromPull", retryFromPull},
	}
}

// A consumer looks for its retry topic when it starts and every half minute: here it finds it at once.
func (s *site) retryTopic(group string) { s.topic("%RETRY%"+group, 1) }

func firstLine(text string) string { return strings.SplitN(text, "\n", 2)[0] }

// A message that fails comes back twice, each time after a second, and is a dead letter then.
func retryDeadLetter(s *site) any {
	topic := s.topic("GoRetryDeadLetter", 1)
	const group = "GID_GoRetryDeadLetter"
	s.retryTopic(group)
	seen := make([]object, 0)
	failed := new(inbox)
	c := s.consumer(group, consumer.WithMaxReconsumeTimes(2))
	check(c.Subscribe(topic, tagged("*"), func(ctx context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		concurrently, _ := primitive.GetConcurrentlyCtx(ctx)
		concurrently.DelayLevelWhenNextConsume = 1
		seen = append(seen, s.redelivered(of[0]))
		failed.add(of...)
		return consumer.ConsumeRetryLater, nil
	}))
	check(c.Start())
	p := s.producer("PID_GoRetryDeadLetter", oneQueue())
	m := toQueue0(topic, "bad").WithTag("TagA").WithKeys([]string{"k1"})
	m.WithProperty("city", "Zürich")
	must(p.SendSync(background, m))
	failed.wait(3)
	s.awaitRoute("%DLQ%" + group)
	dead := s.readUntil("%DLQ%"+group, 1, 1)
	return object{
		"deliveries": seen, "dead": s.messages(dead), "retryRoute": s.route("%RETRY%" + group), "deadRoute": s.route("%DLQ%" + group),
	}
}

// redelivered is a message without where it lies.
func (s *site) redelivered(m *primitive.MessageExt) object {
	o := s.message(m)
	delete(o, "queueOffset")
	return o
}

// Unless told otherwise a failed message comes back by the third level.
func retryFirstDelay(s *site) any {
	topic := s.topic("GoRetryFirstDelay", 1)
	s.retryTopic("GID_GoRetryFirstDelay")
	received := new(inbox)
	c := s.consumer("GID_GoRetryFirstDelay")
	check(c.Subscribe(topic, tagged("TagA"), func(_ context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		received.add(of...)
		if of[0].ReconsumeTimes == 0 {
			return consumer.ConsumeRetryLater, nil
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(c.Start())
	p := s.producer("PID_GoRetryFirstDelay", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "again").WithTag("TagA")))
	all := received.wait(2)
	return object{
		"second": s.redelivered(all[1]),
		"onTime": waited(all[1], levelThree),
		"times":  []int32{all[0].ReconsumeTimes, all[1].ReconsumeTimes},
	}
}

// A pull consumer sends a message back too.
func retryFromPull(s *site) any {
	topic := s.topic("GoRetryFromPull", 1)
	const group = "GID_GoRetryFromPull"
	p := s.producer("PID_GoRetryFromPull", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "again")))
	c := s.puller(group, consumer.WithMaxReconsumeTimes(0))
	check(c.Subscribe(topic, tagged("*")))
	check(c.Start())
	var polled *consumer.ConsumeRequest
	await("the message", func() bool {
		var err error
		polled, err = c.Poll(background, time.Second)
		return err == nil
	})
	c.ACK(background, polled, consumer.ConsumeRetryLater)
	s.awaitRoute("%DLQ%" + group)
	return s.messages(s.readUntil("%DLQ%"+group, 1, 1))
}
