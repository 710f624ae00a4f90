// Messages that are delivered later: by level, and at a time.

package main

import (
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// What the brokers wait for messages of these levels; a message that failed first comes back by the third.
const (
	levelOne   = time.Second
	levelTwo   = 3 * time.Second
	levelThree = time.Second
)

func delayPoints() []point {
	return []point{{"delay.level", delayLevel}, {"delay.timestamp", delayTimestamp}}
}

func delayLevel(s *site) any {
	topic := s.topic("GoDelayLevel", 1)
	_, received := s.consume("GID_GoDelayLevel", topic, "*")
	p := s.producer("PID_GoDelayLevel", oneQueue())
	first := s.sent(p.SendSync(background, toQueue0(topic, "level 1").WithDelayTimeLevel(1).WithTag("TagA")))
	second := s.sent(p.SendSync(background, toQueue0(topic, "level 2").WithDelayTimeLevel(2).WithKeys([]string{"k"})))
	// Where they wait is shared with other points.
	delete(first, "queueOffset")
	delete(second, "queueOffset")
	all := received.wait(2)
	return object{
		"results": []object{first, second}, "received": s.messages(all),
		"onTime": []bool{waited(all[0], levelOne), waited(all[1], levelTwo)},
	}
}

// waited tells whether a message was given to its queue after so long, and not much later.
func waited(m *primitive.MessageExt, atLeast time.Duration) bool {
	was := time.Duration(m.StoreTimestamp-m.BornTimestamp) * time.Millisecond
	return was >= atLeast-50*time.Millisecond && was < atLeast+5*time.Second
}

func delayTimestamp(s *site) any {
	topic := s.topic("GoDelayTimestamp", 1)
	_, received := s.consume("GID_GoDelayTimestamp", topic, "*")
	p := s.producer("PID_GoDelayTimestamp", oneQueue())
	due := time.Now().Add(3 * time.Second)
	result := s.sent(p.SendSync(background, toQueue0(topic, "timed").WithDelayTimestamp(due)))
	delete(result, "queueOffset")
	all := received.wait(1)
	// Upstream's wheel turns in steps of a second.
	early := due.UnixMilli() - all[0].StoreTimestamp
	return object{"result": result, "received": s.messages(all), "onTime": early <= 1000 && early > -5000}
}
