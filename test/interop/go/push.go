// Push consumers: sharing queues, broadcasting, coming back to their offsets, and where a new group begins.

package main

import (
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Sooner than a broker looks again of itself whether a pull that waits can be answered, which it does every five seconds.
const atOnce = 3 * time.Second

func pushPoints() []point {
	return []point{
		{"push.clustering", pushClustering}, {"push.broadcasting", pushBroadcasting}, {"push.offsets", pushOffsets},
		{"push.wake", pushWake}, {"push.topics", pushTopics},
	}
}

// member is one consumer of a group.
type member struct {
	consumer rocketmq.PushConsumer
	received *inbox
}

func (s *site) join(group, topic string, options ...consumer.Option) member {
	c, received := s.consume(group, topic, "*", options...)
	return member{c, received}
}

// leave ends a consumer, not while its first heartbeat by the clock is on its way, a second after its start: a heartbeat
// that upstream meets when its connection has gone keeps the client in its group for two minutes.
func leave(c rocketmq.PushConsumer) {
	time.Sleep(2500 * time.Millisecond)
	check(c.Shutdown())
}

// rebalance is what the client does every twenty seconds.
func (m member) rebalance() {
	time.Sleep(500 * time.Millisecond)
	m.consumer.(interface{ Rebalance() }).Rebalance()
}

// settle sends to each queue until the members share the queues as wanted, then returns how many each has.
func (s *site) settle(topic string, queues int, members []member, wanted []int) []int {
	p := s.producer("PID_"+topic, oneQueue())
	var shares []int
	await("a balanced group", func() bool {
		before := make([]int, len(members))
		total := 0
		for i, m := range members {
			before[i] = m.received.count()
			total += before[i]
		}
		for id := 0; id < queues; id++ {
			m := primitive.NewMessage(topic, []byte("settling"))
			m.Queue = queue(topic, id)
			must(p.SendSync(background, m))
		}
		time.Sleep(500 * time.Millisecond)
		shares = nil
		for i, m := range members {
			owned := map[int]bool{}
			for _, each := range m.received.received()[before[i]:] {
				owned[each.Queue.QueueId] = true
			}
			shares = append(shares, len(owned))
		}
		for i := range wanted {
			if shares[i] != wanted[i] {
				return false
			}
		}
		return true
	})
	return shares
}

func (s *site) sendNumbered(topic string, queues, count int) {
	p := s.producer("PID_Numbered_"+topic, oneQueue())
	for n := 0; n < count; n++ {
		m := primitive.NewMessage(topic, []byte("numbered-"+itoa(n)))
		m.Queue = queue(topic, n%queues)
		must(p.SendSync(background, m))
	}
	s.awaitStored(topic, queues, count)
}

// numbered counts how often each numbered message came.
func numbered(of []*primitive.MessageExt) map[string]int {
	counts := map[string]int{}
	for _, m := range of {
		if body := string(m.Body); body != "settling" {
			counts[body]++
		}
	}
	return counts
}

func pushClustering(s *site) any {
	topic := s.topic("GoPushClustering", 4)
	const group = "GID_GoPushClustering"
	members := []member{s.join(group, topic), s.join(group, topic)}
	two := s.settle(topic, 4, members, []int{2, 2})
	s.sendNumbered(topic, 4, 40)
	total := func() map[string]int {
		return numbered(append(members[0].received.received(), members[1].received.received()...))
	}
	await("40 messages", func() bool { return len(total()) == 40 })
	repeated := 0
	for _, times := range total() {
		repeated += times - 1
	}
	// Those who stay learn of it when one goes.
	leave(members[1].consumer)
	one := s.settle(topic, 4, members[:1], []int{4})
	return object{"two": two, "distinct": len(total()), "repeated": repeated, "one": one}
}

func pushBroadcasting(s *site) any {
	topic := s.topic("GoPushBroadcasting", 4)
	const group = "GID_GoPushBroadcasting"
	broadcasting := consumer.WithConsumerModel(consumer.BroadCasting)
	members := []member{s.join(group, topic, broadcasting), s.join(group, topic, broadcasting)}
	s.sendNumbered(topic, 4, 20)
	counts := make([]int, 0)
	for _, m := range members {
		m.received.wait(20)
		counts = append(counts, len(numbered(m.received.received())))
	}
	return object{"received": counts, "committed": s.committed(group, topic, 0), "retryTopic": s.route("%RETRY%" + group)}
}

// A consumer that comes back goes on where its group was.
func pushOffsets(s *site) any {
	topic := s.topic("GoPushOffsets", 2)
	const group = "GID_GoPushOffsets"
	s.sendNumbered(topic, 2, 10)
	first := s.join(group, topic)
	first.received.wait(10)
	leave(first.consumer)
	await("the offsets", func() bool { return s.committed(group, topic, 0) >= 0 && s.committed(group, topic, 1) >= 0 })
	committed := []int64{s.committed(group, topic, 0), s.committed(group, topic, 1)}
	p := s.producer("PID_GoPushOffsets", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "later")))
	second := s.join(group, topic)
	return object{
		"committed": committed, "first": len(numbered(first.received.received())),
		"second": sortedBodies(second.received.wait(1)), "retryTopic": s.route("%RETRY%" + group),
	}
}

// A waiting pull is answered when a message comes.
func pushWake(s *site) any {
	topic := s.topic("GoPushWake", 1)
	m := s.join("GID_GoPushWake", topic)
	p := s.producer("PID_GoPushWake", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "first")))
	m.received.wait(1)
	time.Sleep(2 * time.Second)
	began := time.Now()
	must(p.SendSync(background, toQueue0(topic, "second")))
	m.received.wait(2)
	return object{"atOnce": time.Since(began) < atOnce}
}

// One consumer of several topics, with a filter for each.
func pushTopics(s *site) any {
	one, two := s.topic("GoPushTopicsOne", 1), s.topic("GoPushTopicsTwo", 1)
	received := new(inbox)
	c := s.consumer("GID_GoPushTopics")
	check(c.Subscribe(one, tagged("A || C"), received.take))
	check(c.Subscribe(two, tagged("B"), received.take))
	check(c.Start())
	p := s.producer("PID_GoPushTopics", oneQueue())
	for _, topic := range []string{one, two} {
		for _, tag := range []string{"A", "B", "C"} {
			must(p.SendSync(background, toQueue0(topic, topic+tag).WithTag(tag)))
		}
	}
	received.until(two + "B")
	return received.until(one + "C")
}

// Where a group that is new begins.
func startPoints() []point {
	of := func(name string, from consumer.ConsumeFromWhere, sentBefore bool, more ...consumer.Option) point {
		return point{"start." + name, func(s *site) any {
			topic := s.topic("GoStart-"+name, 1)
			p := s.producer("PID_GoStart-"+name, oneQueue())
			if sentBefore {
				must(p.SendSync(background, toQueue0(topic, "before")))
			}
			group := "GID_GoStart-" + name
			options := append(more, consumer.WithConsumeFromWhere(from))
			first := s.join(group, topic, options...)
			time.Sleep(3 * time.Second)
			must(p.SendSync(background, toQueue0(topic, "after")))
			return first.received.until("after")
		}}
	}
	at := func(when time.Time) consumer.Option {
		return consumer.WithConsumeTimestamp(when.UTC().Format("20060102150405"))
	}
	return []point{
		of("firstOffset", consumer.ConsumeFromFirstOffset, true),
		of("lastOffset", consumer.ConsumeFromLastOffset, true),
		of("lastOffsetOfEmpty", consumer.ConsumeFromLastOffset, false),
		of("timestampBefore", consumer.ConsumeFromTimestamp, true, at(time.Now().Add(-time.Hour))),
		of("timestampAfter", consumer.ConsumeFromTimestamp, true, at(time.Now().Add(time.Hour))),
		{"start.lastOffsetOfOld", startLastOffsetOfOld},
	}
}

// A group that other members had already begins where they stopped, whatever a new member asks for.
func startLastOffsetOfOld(s *site) any {
	topic := s.topic("GoStartOld", 1)
	const group = "GID_GoStartOld"
	p := s.producer("PID_GoStartOld", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "before")))
	first := s.join(group, topic)
	first.received.wait(1)
	leave(first.consumer)
	await("the offset", func() bool { return s.committed(group, topic, 0) == 1 })
	must(p.SendSync(background, toQueue0(topic, "meanwhile")))
	second := s.join(group, topic, consumer.WithConsumeFromWhere(consumer.ConsumeFromLastOffset))
	return bodies(second.received.wait(1))
}
