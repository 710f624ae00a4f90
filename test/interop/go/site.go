// What the points have in common: the servers, and clients of them. Each client has connections of its own, as a process
// of its own would. Nothing is waited for longer than a point may last.

package main

import (
	"context"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// site is the name servers and the broker that the points use, and makes clients of them.
type site struct {
	namesrvs []string
	broker   string

	mutex   sync.Mutex
	remarks map[string]bool
}

// note keeps the text of a refusal: a text for people, which is compared apart from the codes.
func (s *site) note(code, remark string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.remarks[code+": "+strings.TrimRight(firstLine(s.normal(remark)), " ,")] = true
}

// noted is every text that came with a refusal.
func (s *site) noted() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := make([]string, 0, len(s.remarks))
	for remark := range s.remarks {
		all = append(all, remark)
	}
	sort.Strings(all)
	return all
}

var instances atomic.Int64

// instance names a client: each has connections of its own, as a process of its own would.
func instance() string {
	return "client-" + time.Now().Format("150405") + "-" + itoa(instances.Add(1))
}

func (s *site) servers() primitive.NamesrvAddr { return s.namesrvs }

func (s *site) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver(s.namesrvs)
}

// admin is a client of the administration; the caller closes it.
func (s *site) admin() adminClient { return must(admin.NewAdmin(admin.WithResolver(s.resolver()))) }

// adminClient is what the points use of it.
type adminClient interface {
	CreateTopic(ctx context.Context, opts ...admin.OptionCreate) error
	DeleteTopic(ctx context.Context, opts ...admin.OptionDelete) error
	GetAllSubscriptionGroup(ctx context.Context, addr string, limit time.Duration) (*admin.SubscriptionGroupWrapper, error)
	FetchAllTopicList(ctx context.Context) (*admin.TopicList, error)
	FetchPublishMessageQueues(ctx context.Context, topic string) ([]*primitive.MessageQueue, error)
	FetchClusterList(topic string) ([]string, error)
	Close() error
}

// topic makes a topic with so many queues, and waits until clients find it.
func (s *site) topic(name string, queues int) string {
	a := s.admin()
	defer a.Close()
	s.create(a, name, admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues))
	return name
}

// create asks for a topic, and waits until clients find it.
func (s *site) create(a adminClient, name string, options ...admin.OptionCreate) {
	all := append([]admin.OptionCreate{admin.WithTopicCreate(name), admin.WithBrokerAddrCreate(s.broker)}, options...)
	var err error
	for attempt := 0; attempt < 5; attempt++ {
		// The client waits five seconds, which a busy machine may need.
		if err = a.CreateTopic(background, all...); err == nil {
			break
		}
	}
	check(err)
	s.awaitRoute(name)
}

func (s *site) awaitRoute(topic string) {
	for _, namesrv := range s.namesrvs {
		await("the route of "+topic, func() bool { return s.ask(namesrv, getRoute, fields{"topic": topic}, nil).code == 0 })
	}
}

// aNamesrv is one of the name servers, which know the same.
func (s *site) aNamesrv() string { return s.namesrvs[0] }

// producer starts a producer of the group.
func (s *site) producer(group string, options ...producer.Option) rocketmq.Producer {
	all := append([]producer.Option{
		producer.WithNameServer(s.servers()), producer.WithGroupName(group), producer.WithInstanceName(instance()),
		producer.WithRetry(0), producer.WithSendMsgTimeout(10 * time.Second),
	}, options...)
	p := must(rocketmq.NewProducer(all...))
	check(p.Start())
	return p
}

// consumer makes a push consumer of the group, which the caller subscribes and starts.
func (s *site) consumer(group string, options ...consumer.Option) rocketmq.PushConsumer {
	all := append([]consumer.Option{
		consumer.WithNameServer(s.servers()), consumer.WithGroupName(group), consumer.WithInstance(instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)
	return must(rocketmq.NewPushConsumer(all...))
}

// consume starts a consumer of one topic that notes what it receives.
func (s *site) consume(group, topic, tags string, options ...consumer.Option) (rocketmq.PushConsumer, *inbox) {
	received := new(inbox)
	c := s.consumer(group, options...)
	check(c.Subscribe(topic, tagged(tags), received.take))
	check(c.Start())
	return c, received
}

// puller makes a pull consumer of the group, which the caller subscribes and starts.
func (s *site) puller(group string, options ...consumer.Option) rocketmq.PullConsumer {
	all := append([]consumer.Option{
		consumer.WithNameServer(s.servers()), consumer.WithGroupName(group), consumer.WithInstance(instance()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithPullBatchSize(32),
	}, options...)
	return must(rocketmq.NewPullConsumer(all...))
}

func tagged(expression string) consumer.MessageSelector {
	return consumer.MessageSelector{Type: consumer.TAG, Expression: expression}
}

func queue(topic string, id int) *primitive.MessageQueue {
	return &primitive.MessageQueue{Topic: topic, BrokerName: brokerName, QueueId: id}
}

// Both brokers are called the same.
const (
	brokerName  = "broker-a"
	clusterName = "DefaultCluster"
)

// await looks every few milliseconds whether something has come about.
func await(what string, is func() bool) {
	limit := time.Now().Add(pointLimit - 5*time.Second)
	for !is() {
		if time.Now().After(limit) {
			panic("waited in vain for " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
