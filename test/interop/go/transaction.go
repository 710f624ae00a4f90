// Transactions: ended at once, and by an answer to the broker's question.

package main

import (
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func transactionPoints() []point {
	return []point{
		{"transaction.commit", transactionOf("Commit", primitive.CommitMessageState)},
		{"transaction.rollback", transactionOf("Rollback", primitive.RollbackMessageState)},
		{"transaction.checkThenCommit", transactionOf("CheckCommit", primitive.UnkonwnState, primitive.CommitMessageState)},
		{"transaction.checkThenRollback", transactionOf("CheckRollback", primitive.UnkonwnState, primitive.RollbackMessageState)},
		{"transaction.checkTwice", transactionOf("CheckTwice", primitive.UnkonwnState, primitive.UnkonwnState, primitive.CommitMessageState)},
	}
}

// decider answers for the local transaction: the first state at once, the others one by one when it is asked.
type decider struct {
	mutex  sync.Mutex
	states []primitive.LocalTransactionState
	checks []*primitive.MessageExt
	half   *primitive.Message
}

func (d *decider) next() primitive.LocalTransactionState {
	state := d.states[0]
	if len(d.states) > 1 {
		d.states = d.states[1:]
	}
	return state
}

func (d *decider) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	if string(m.Body) == "warm" {
		return primitive.CommitMessageState
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.half = m
	return d.next()
}

func (d *decider) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.checks = append(d.checks, m)
	return d.next()
}

func (d *decider) checked() []*primitive.MessageExt {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return append([]*primitive.MessageExt{}, d.checks...)
}

func transactionOf(name string, states ...primitive.LocalTransactionState) func(s *site) any {
	return func(s *site) any {
		topic := s.topic("GoTransaction"+name, 1)
		group := "PID_GoTransaction" + name
		_, received := s.consume("GID_GoTransaction"+name, topic, "*")
		d := &decider{states: states}
		p := must(rocketmq.NewTransactionProducer(d, producer.WithNameServer(s.servers()), producer.WithGroupName(group),
			producer.WithInstanceName(instance())))
		check(p.Start())
		// It must be known to the broker before it can be asked.
		warm := primitive.NewMessage(s.topic("GoTransactionWarm"+name, 1), []byte("warm"))
		must(p.SendMessageInTransaction(background, warm))
		s.awaitProducer(group)
		m := primitive.NewMessage(topic, []byte("half")).WithTag("TagA").WithKeys([]string{"tx-1"})
		m.WithProperty("city", "Zürich")
		result, err := p.SendMessageInTransaction(background, m)
		check(err)
		sent := s.sent(result.SendResult, nil)
		// Halves of all points lie in one queue.
		delete(sent, "queueOffset")
		await("the checks", func() bool { return len(d.checked()) >= len(states)-1 })
		last := states[len(states)-1]
		if last == primitive.CommitMessageState {
			received.wait(1)
		} else {
			// Were it delivered after all, it would be there before this.
			ordinary := s.producer("PID_GoTransactionEnd" + name)
			time.Sleep(3 * time.Second)
			must(ordinary.SendSync(background, primitive.NewMessage(topic, []byte("the end"))))
			received.wait(1)
		}
		checks := make([]object, 0)
		// The broker may ask once more while an answer is on its way.
		for _, each := range d.checked()[:len(states)-1] {
			checks = append(checks, s.half(each))
		}
		delivered := make([]object, 0)
		for _, each := range s.messages(received.received()) {
			delete(each, "preparedTransactionOffset")
			delivered = append(delivered, each)
		}
		return object{
			"result": sent, "state": int(result.State), "checks": checks, "delivered": delivered,
			"sameTransaction": d.half.TransactionId == result.MsgID,
		}
	}
}

// half is a message that a check is about, without where it lies.
func (s *site) half(m *primitive.MessageExt) object {
	o := s.message(m)
	delete(o, "queueOffset")
	delete(o, "preparedTransactionOffset")
	o["sameId"] = m.TransactionId == m.MsgId
	return o
}
