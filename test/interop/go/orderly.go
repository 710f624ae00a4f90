// Consuming in order, with queues locked for one consumer.

package main

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func orderlyPoints() []point {
	return []point{
		{"orderly.sequence", orderlySequence}, {"orderly.deadLetter", orderlyDeadLetter},
		{"orderly.takeOver", orderlyTakeOver},
	}
}

// Messages of one key come in the order in which they were sent, also after one was held up.
func orderlySequence(s *site) any {
	topic := s.topic("GoOrderlySequence", 2)
	p := s.producer("PID_GoOrderlySequence", producer.WithQueueSelector(producer.NewHashQueueSelector()))
	for n := 0; n < 10; n++ {
		for _, key := range []string{"a", "b", "c"} {
			must(p.SendSync(background, primitive.NewMessage(topic, []byte(itoa(n))).WithShardingKey(key)))
		}
	}
	var mutex sync.Mutex
	sequences := map[string][]string{}
	held, total := false, 0
	c := s.consumer("GID_GoOrderlySequence", consumer.WithConsumerOrder(true))
	check(c.Subscribe(topic, tagged("*"), func(ctx context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		mutex.Lock()
		defer mutex.Unlock()
		result := consumer.ConsumeSuccess
		for _, m := range of {
			key := m.GetShardingKey()
			sequences[key] = append(sequences[key], string(m.Body)+" after "+itoa(m.ReconsumeTimes))
			total++
			if key == "b" && string(m.Body) == "4" && !held {
				held = true
				result = consumer.SuspendCurrentQueueAMoment
			}
		}
		return result, nil
	}))
	check(c.Start())
	await("31 deliveries", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return total >= 31
	})
	mutex.Lock()
	defer mutex.Unlock()
	return sequences
}

// A message that fails too often leaves the queue for the dead letters of the group.
func orderlyDeadLetter(s *site) any {
	topic := s.topic("GoOrderlyDeadLetter", 1)
	const group = "GID_GoOrderlyDeadLetter"
	p := s.producer("PID_GoOrderlyDeadLetter", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "bad").WithTag("TagA")))
	must(p.SendSync(background, toQueue0(topic, "good")))
	seen := new(inbox)
	c := s.consumer(group, consumer.WithConsumerOrder(true), consumer.WithMaxReconsumeTimes(2))
	check(c.Subscribe(topic, tagged("*"), func(_ context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		seen.add(of...)
		if string(of[0].Body) == "bad" {
			return consumer.SuspendCurrentQueueAMoment, nil
		}
		return consumer.ConsumeSuccess, nil
	}))
	check(c.Start())
	s.awaitRoute("%DLQ%" + group)
	dead := s.readUntil("%DLQ%"+group, 1, 1)
	seen.until("good")
	return object{"deliveries": bodies(seen.received()), "dead": s.messages(dead), "route": s.route("%DLQ%" + group)}
}

// Queues are locked while their consumer is there, and free for another when it has gone. (A member that joins while the
// first stays would wait until its locks run out: this client does not give them back.)
func orderlyTakeOver(s *site) any {
	topic := s.topic("GoOrderlyTakeOver", 2)
	const group = "GID_GoOrderlyTakeOver"
	orderly := consumer.WithConsumerOrder(true)
	first := s.join(group, topic, orderly)
	before := s.settle(topic, 2, []member{first}, []int{2})
	locked := s.lock(group, topic, 2)
	leave(first.consumer)
	await("the locks", func() bool { return len(s.lock(group, topic, 2)) == 2 })
	s.ask(s.broker, unlockQueues, fields{}, lockBody(group, topic, 2))
	second := s.join(group, topic, orderly)
	return object{"before": before, "lockedMeanwhile": locked, "after": s.settle(topic, 2, []member{second}, []int{2})}
}

func lockBody(group, topic string, queues int) []byte {
	set := make([]any, 0)
	for id := 0; id < queues; id++ {
		set = append(set, object{"topic": topic, "brokerName": brokerName, "queueId": id})
	}
	return must(json.Marshal(object{"consumerGroup": group, "clientId": "stranger@1", "mqSet": set}))
}

// lock asks for queues in the name of another client; returns those that it gets.
func (s *site) lock(group, topic string, queues int) []any {
	a := s.ask(s.broker, lockQueues, fields{}, lockBody(group, topic, queues))
	var locked struct{ LockOKMQSet []any }
	check(json.Unmarshal(a.body, &locked))
	return append([]any{}, locked.LockOKMQSet...)
}
