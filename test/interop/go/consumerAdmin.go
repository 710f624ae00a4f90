// What the administration learns of consumers and does to them through the broker: connections, running info, direct
// consumption, reset of offsets.

package main

import (
	"encoding/json"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
)

// What the administration asks of running Go consumers, through the broker.
func consumerAdminPoints() []point {
	return []point{
		{"consumerAdmin.connections", consumerConnections}, {"consumerAdmin.runningInfo", consumerRunningInfo},
		{"consumerAdmin.status", consumerStatusOf}, {"consumerAdmin.consumeDirectly", consumerConsumeDirectly},
		{"consumerAdmin.resetOnLine", consumerResetOnLine}, {"consumerAdmin.resetOffLine", consumerResetOffLine},
		{"consumerAdmin.offLine", consumerOffLine},
	}
}

func (s *site) answered(a answer) object {
	o := s.refusal(a)
	if len(a.body) > 0 {
		o["body"] = s.decoded(a.body)
	}
	return o
}

// clientOf is the id of the only member of a group.
func (s *site) clientOf(group string) string {
	var ids struct{ ConsumerIdList []string }
	await("a member of "+group, func() bool {
		a := s.ask(s.broker, consumersOfGroup, fields{"consumerGroup": group}, nil)
		return a.code == 0 && json.Unmarshal(a.body, &ids) == nil && len(ids.ConsumerIdList) == 1
	})
	return ids.ConsumerIdList[0]
}

func consumerConnections(s *site) any {
	topic := s.topic("GoConsumerConnections", 1)
	const group = "GID_GoConsumerConnections"
	s.consume(group, topic, "TagA || TagB", consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
	p := s.producer("PID_GoConsumerConnections", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "1").WithTag("TagA")))
	s.clientOf(group)
	clients := s.answered(s.ask(s.broker, consumerClients, fields{"consumerGroup": group}, nil))
	// Versions of subscriptions are nanoseconds.
	if body, isObject := clients["body"].(map[string]any); isObject {
		if table, isTable := body["subscriptionTable"].(map[string]any); isTable {
			for _, subscription := range table {
				delete(subscription.(map[string]any), "subVersion")
			}
		}
	}
	var producers object
	await("the producer's heartbeat", func() bool {
		a := s.ask(s.broker, producerClients, fields{"producerGroup": "PID_GoConsumerConnections"}, nil)
		producers = s.answered(a)
		return a.code == 0
	})
	return object{"consumers": clients, "producers": producers}
}

// The client writes queues as the keys of objects, which is no JSON: what stands in them is told apart by name only.
var bodyMember = regexp.MustCompile(`"([A-Za-z_]+)":`)

func consumerRunningInfo(s *site) any {
	topic := s.topic("GoConsumerRunningInfo", 1)
	const group = "GID_GoConsumerRunningInfo"
	_, received := s.consume(group, topic, "*")
	p := s.producer("PID_GoConsumerRunningInfo", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "1")))
	received.wait(1)
	a := s.ask(s.broker, runningInfo, fields{"consumerGroup": group, "clientId": s.clientOf(group), "jstackEnable": "false"}, nil)
	names := map[string]bool{}
	for _, found := range bodyMember.FindAllStringSubmatch(string(a.body), -1) {
		names[found[1]] = true
	}
	sorted := make([]string, 0)
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return object{"code": a.code, "members": sorted}
}

// offsetsIn finds the offsets of queues in a body that has queues as the keys of objects.
var offsetIn = regexp.MustCompile(`\{([^{}]*"queueId"[^{}]*)\}:(-?\d+)`)

func offsetsIn(body []byte) []string {
	offsets := make([]string, 0)
	for _, found := range offsetIn.FindAllStringSubmatch(string(body), -1) {
		var mq struct {
			Topic   string
			QueueId int
		}
		check(json.Unmarshal([]byte("{"+found[1]+"}"), &mq))
		if !strings.HasPrefix(mq.Topic, "%") {
			offsets = append(offsets, itoa(mq.QueueId)+":"+found[2])
		}
	}
	sort.Strings(offsets)
	return offsets
}

func consumerStatusOf(s *site) any {
	topic := s.topic("GoConsumerStatus", 2)
	const group = "GID_GoConsumerStatus"
	_, received := s.consume(group, topic, "*")
	s.sendNumbered(topic, 2, 4)
	received.wait(4)
	time.Sleep(500 * time.Millisecond)
	a := s.ask(s.broker, consumerStatus, fields{"topic": topic, "group": group, "clientAddr": s.clientOf(group)}, nil)
	return object{"answered": s.refusal(a), "offsets": offsetsIn(a.body), "members": bodyMember.FindAllString(string(a.body), 2)}
}

func consumerConsumeDirectly(s *site) any {
	topic := s.topic("GoConsumeDirectly", 1)
	const group = "GID_GoConsumeDirectly"
	_, received := s.consume(group, topic, "*")
	p := s.producer("PID_GoConsumeDirectly", oneQueue())
	result := must(p.SendSync(background, toQueue0(topic, "1")))
	received.wait(1)
	extFields := fields{
		"consumerGroup": group, "clientId": s.clientOf(group), "msgId": result.OffsetMsgID, "topic": topic, "brokerName": brokerName,
	}
	answered := s.answered(s.ask(s.broker, consumeDirectly, extFields, nil))
	if body, isObject := answered["body"].(map[string]any); isObject {
		delete(body, "spentTimeMills")
	}
	received.wait(2)
	extFields["clientId"] = "nobody@1"
	return object{
		"answered": answered, "received": bodies(received.received()),
		"toNobody": s.answered(s.ask(s.broker, consumeDirectly, extFields, nil)),
	}
}

func (s *site) reset(topic, group string, at int64) object {
	a := s.ask(s.broker, resetOffset, fields{"topic": topic, "group": group, "timestamp": itoa(at), "isForce": "true", "queueId": "-1"}, nil)
	return object{"answered": s.refusal(a), "offsets": offsetsIn(a.body)}
}

// A running consumer learns of the reset by its next pull, and takes the queue up again after ten seconds.
func consumerResetOnLine(s *site) any {
	topic := s.topic("GoResetOnLine", 1)
	const group = "GID_GoResetOnLine"
	m := s.join(group, topic)
	s.sendNumbered(topic, 1, 5)
	m.received.wait(5)
	time.Sleep(500 * time.Millisecond)
	answered := s.reset(topic, group, 0)
	// Its pull waits: a message ends that.
	must(s.producer("PID_GoResetOnLine", oneQueue()).SendSync(background, toQueue0(topic, "numbered-wake")))
	await("all of it again", func() bool {
		m.rebalance()
		return numbered(m.received.received())["numbered-4"] == 2
	})
	again := numbered(m.received.received())
	return object{"answered": answered, "numbered-0": again["numbered-0"], "numbered-3": again["numbered-3"]}
}

func consumerResetOffLine(s *site) any {
	topic := s.topic("GoResetOffLine", 1)
	const group = "GID_GoResetOffLine"
	first := s.join(group, topic)
	s.sendNumbered(topic, 1, 5)
	first.received.wait(5)
	leave(first.consumer)
	await("the offset", func() bool { return s.committed(group, topic, 0) == 5 })
	answered := s.reset(topic, group, 0)
	committed := s.committed(group, topic, 0)
	second := s.join(group, topic)
	await("all of it again", func() bool {
		second.rebalance()
		return second.received.count() >= 5
	})
	return object{"answered": answered, "committed": committed, "again": sortedBodies(second.received.received())}
}

// The same questions when nobody of the group is there.
func consumerOffLine(s *site) any {
	topic := s.topic("GoConsumerOffLine", 1)
	const group = "GID_GoConsumerOffLine"
	return object{
		"connections": s.answered(s.ask(s.broker, consumerClients, fields{"consumerGroup": group}, nil)),
		"ids":         s.answered(s.ask(s.broker, consumersOfGroup, fields{"consumerGroup": group}, nil)),
		"runningInfo": s.answered(s.ask(s.broker, runningInfo, fields{"consumerGroup": group, "clientId": "nobody@1"}, nil)),
		"producers":   s.answered(s.ask(s.broker, producerClients, fields{"producerGroup": "PID_GoNobody"}, nil)),
		"reset":       s.reset(topic, group, 0),
	}
}
