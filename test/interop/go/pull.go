// Pull consumers, and what a single pull is answered with: outcomes, waiting, limits.

package main

import (
	"math/rand"
	"sort"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func pullPoints() []point {
	return []point{
		{"pull.from", pullFrom}, {"pull.filtered", pullFiltered}, {"pull.next", pullNext}, {"pull.waits", pullWaits},
		{"pull.timesOut", pullTimesOut}, {"pull.limits", pullLimits}, {"pull.fewBytes", pullFewBytes}, {"pull.poll", pullPoll}, {"pull.assign", pullAssign},
		{"pull.offsets", pullOffsets}, {"pull.refused", pullRefused},
	}
}

// Names of the outcomes of a pull, by the client's numbers.
var pullStatus = map[primitive.PullStatus]string{
	primitive.PullFound: "FOUND", primitive.PullNoNewMsg: "NO_NEW_MSG", primitive.PullNoMsgMatched: "NO_MATCHED_MSG",
	primitive.PullOffsetIllegal: "OFFSET_ILLEGAL", primitive.PullBrokerTimeout: "BROKER_TIMEOUT",
}

func (s *site) pulled(result *primitive.PullResult, err error) object {
	if err != nil {
		return object{"error": s.failure(err)}
	}
	return object{
		"status": pullStatus[result.Status], "next": result.NextBeginOffset, "min": result.MinOffset,
		"max": result.MaxOffset, "suggested": result.SuggestWhichBrokerId, "bodies": bodies(result.GetMessageExts()),
	}
}

// assigned is a pull consumer that pulls only what it is told to.
func (s *site) assigned(group, topic string) rocketmq.PullConsumer {
	c := s.puller(group)
	check(c.Assign(topic, nil))
	check(c.Start())
	return c
}

func pullFrom(s *site) any {
	topic := s.topic("GoPullFrom", 2)
	s.sendNumbered(topic, 2, 20)
	c := s.assigned("GID_GoPullFrom", topic)
	queues := make([]int, 0)
	for _, mq := range must(c.GetTopicRouteInfo(topic)) {
		queues = append(queues, mq.QueueId)
	}
	sort.Ints(queues)
	return object{
		"queues": queues,
		"three":  s.pulled(c.PullFrom(background, queue(topic, 0), 0, 3)),
		"middle": s.pulled(c.PullFrom(background, queue(topic, 0), 5, 32)),
		"other":  s.pulled(c.PullFrom(background, queue(topic, 1), 9, 32)),
		"beyond": s.pulled(c.PullFrom(background, queue(topic, 1), 500, 32)),
		"none":   s.pulled(c.PullFrom(background, queue(topic, 9), 0, 32)),
	}
}

func pullFiltered(s *site) any {
	topic := s.topic("GoPullFiltered", 1)
	s.sendForSql(topic)
	pulls := object{}
	for name, selector := range map[string]consumer.MessageSelector{
		"tag": tagged("TagA"), "sql": sql("status = 2"), "nothing": tagged("Nobody"), "noSql": sql("status = 99"),
	} {
		c := s.puller("GID_GoPullFiltered-" + name)
		check(c.Subscribe(topic, selector))
		check(c.Start())
		pulls[name] = s.pulled(c.PullFrom(background, queue(topic, 0), 0, 32))
	}
	return pulls
}

// The client goes through the queues and on from the committed offsets.
func pullNext(s *site) any {
	topic := s.topic("GoPullNext", 2)
	const group = "GID_GoPullNext"
	s.sendNumbered(topic, 2, 4)
	c := s.assigned(group, topic)
	first, second := s.pulled(c.Pull(background, 1)), s.pulled(c.Pull(background, 1))
	check(c.UpdateOffset(queue(topic, 0), 1))
	return object{"first": first, "second": second, "third": s.pulled(c.Pull(background, 1))}
}

func pullWaits(s *site) any {
	topic := s.topic("GoPullWaits", 1)
	c := s.assigned("GID_GoPullWaits", topic)
	p := s.producer("PID_GoPullWaits", oneQueue())
	sentAt := make(chan time.Time, 1)
	go func() {
		time.Sleep(2 * time.Second)
		sentAt <- time.Now()
		must(p.SendSync(background, toQueue0(topic, "awaited")))
	}()
	pulled := s.pulled(c.PullFrom(background, queue(topic, 0), 0, 32))
	return object{"pulled": pulled, "atOnce": time.Since(<-sentAt) < atOnce}
}

// A pull that nothing answers ends after the time that it asked for, at the broker's next look.
func pullTimesOut(s *site) any {
	topic := s.topic("GoPullTimesOut", 1)
	began := time.Now()
	a := s.pullOnce(topic, 0, 0, fields{"sysFlag": "6", "suspendTimeoutMillis": "2000"})
	after := time.Since(began)
	return object{
		"code": a.code, "remark": a.remark, "fields": s.properties(a.extFields),
		"inTime": after > 1900*time.Millisecond && after < 9*time.Second,
	}
}

// How much one pull is answered with: 32 messages, or 256 KiB.
func pullLimits(s *site) any {
	small, large := s.topic("GoPullLimitsSmall", 1), s.topic("GoPullLimitsLarge", 1)
	s.sendNumbered(small, 1, 50)
	p := s.producer("PID_GoPullLimits", oneQueue())
	random := rand.New(rand.NewSource(1))
	for n := 0; n < 10; n++ {
		m := toQueue0(large, "")
		m.Body = make([]byte, 60_000)
		random.Read(m.Body)
		must(p.SendSync(background, m))
	}
	s.awaitStored(large, 1, 10)
	limits := object{}
	ask := func(name, topic string, more fields) {
		a := s.pullOnce(topic, 0, 0, more)
		limits[name] = object{"code": a.code, "next": a.extFields["nextBeginOffset"], "count": len(primitive.DecodeMessage(a.body))}
	}
	ask("100 of 50", small, fields{"maxMsgNums": "100"})
	ask("7 of 50", small, fields{"maxMsgNums": "7"})
	ask("1 of 50", small, fields{"maxMsgNums": "1"})
	ask("none of 50", small, fields{"maxMsgNums": "0"})
	ask("32 large ones", large, fields{})
	ask("1 MiB", large, fields{"maxMsgBytes": "1048576"})
	return limits
}

// A pull that wants few bytes.
func pullFewBytes(s *site) any {
	topic := s.topic("GoPullFewBytes", 1)
	s.sendNumbered(topic, 1, 10)
	return len(primitive.DecodeMessage(s.pullOnce(topic, 0, 0, fields{"maxMsgBytes": "500"}).body))
}

func pullPoll(s *site) any {
	topic := s.topic("GoPullPoll", 2)
	const group = "GID_GoPullPoll"
	s.sendNumbered(topic, 2, 20)
	c := s.puller(group)
	check(c.Subscribe(topic, tagged("*")))
	check(c.Start())
	received := new(inbox)
	await("20 messages", func() bool {
		if polled, err := c.Poll(background, time.Second); err == nil {
			received.add(polled.GetMsgList()...)
			c.ACK(background, polled, consumer.ConsumeSuccess)
		}
		return received.count() >= 20
	})
	check(c.PersistOffset(background, topic))
	await("the offsets", func() bool { return s.committed(group, topic, 0) == 10 && s.committed(group, topic, 1) == 10 })
	return sortedBodies(received.received())
}

func pullAssign(s *site) any {
	topic := s.topic("GoPullAssign", 2)
	s.sendNumbered(topic, 2, 20)
	c := s.puller("GID_GoPullAssign")
	check(c.Assign(topic, []*primitive.MessageQueue{queue(topic, 1)}))
	c.SeekOffset(queue(topic, 1), 6)
	check(c.Start())
	received := new(inbox)
	await("the rest of the queue", func() bool {
		if polled, err := c.Poll(background, time.Second); err == nil {
			received.add(polled.GetMsgList()...)
		}
		return received.count() >= 4
	})
	return bodies(received.received())
}

func pullOffsets(s *site) any {
	topic := s.topic("GoPullOffsets", 1)
	const group = "GID_GoPullOffsets"
	c := s.assigned(group, topic)
	mq := queue(topic, 0)
	offsets := object{"ofEmptyQueue": must(c.OffsetForTimestamp(mq, time.Now().UnixMilli()))}
	p := s.producer("PID_GoPullOffsets", oneQueue())
	var times []int64
	for n := 0; n < 3; n++ {
		must(p.SendSync(background, toQueue0(topic, itoa(n))))
		time.Sleep(50 * time.Millisecond)
	}
	for _, m := range s.readUntil(topic, 1, 3) {
		times = append(times, m.StoreTimestamp)
	}
	for name, at := range map[string]int64{
		"longBefore": times[0] - 3_600_000, "first": times[0], "afterFirst": times[0] + 1, "last": times[2], "afterLast": times[2] + 1,
		"longAfter": times[2] + 3_600_000,
	} {
		offsets[name] = must(c.OffsetForTimestamp(mq, at))
	}
	offsets["unknown"] = must(c.CurrentOffset(mq))
	check(c.UpdateOffset(mq, 2))
	offsets["current"] = must(c.CurrentOffset(mq))
	offsets["committed"] = s.committed(group, topic, 0)
	offsets["max"] = s.maxOffset(topic, 0)
	offsets["min"] = s.ask(s.broker, getMinOffset, fields{"topic": topic, "queueId": "0"}, nil).offset()
	return offsets
}

// What a broker does not let a consumer pull, in the order of its checks.
func pullRefused(s *site) any {
	topic := s.topic("GoPullRefused", 1)
	refusals := object{}
	ask := func(name, topic string, id int, more fields) {
		a := s.pullOnce(topic, id, 0, more)
		refusals[name] = s.refusal(a)
	}
	ask("unknownTopic", "GoPullRefusedNoSuch", 0, fields{})
	ask("queueBeyond", topic, 7, fields{})
	ask("queueBelow", topic, -1, fields{})
	ask("noMember", topic, 0, fields{"sysFlag": "0", "consumerGroup": "GID_GoPullRefusedNobody"})
	ask("groupName", topic, 0, fields{"consumerGroup": "GID!GoPullRefused"})
	return refusals
}
