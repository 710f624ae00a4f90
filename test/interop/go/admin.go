// The client's administration: topics, their routes, clusters and groups.

package main

import (
	"sort"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func adminPoints() []point {
	return []point{
		{"admin.createTopic", adminCreateTopic}, {"admin.changeTopic", adminChangeTopic}, {"admin.deleteTopic", adminDeleteTopic},
		{"admin.illegalTopic", adminIllegalTopic}, {"admin.systemTopics", adminSystemTopics}, {"admin.clusters", adminClusters},
		{"admin.groups", adminGroups}, {"admin.unknownRoute", adminUnknownRoute},
	}
}

func queueIds(of []*primitive.MessageQueue) []int {
	ids := make([]int, 0)
	for _, mq := range of {
		ids = append(ids, mq.QueueId)
	}
	sort.Ints(ids)
	return ids
}

func adminCreateTopic(s *site) any {
	const topic = "GoAdminCreateTopic"
	a := s.admin()
	defer a.Close()
	s.create(a, topic, admin.WithReadQueueNums(5), admin.WithWriteQueueNums(3), admin.WithOrder(true), admin.WithTopicSysFlag(1))
	listed := false
	for _, each := range must(a.FetchAllTopicList(background)).TopicList {
		listed = listed || each == topic
	}
	return object{
		"config": s.topicConfig(topic), "route": s.route(topic), "listed": listed,
		"publish": queueIds(must(a.FetchPublishMessageQueues(background, topic))),
	}
}

func adminChangeTopic(s *site) any {
	topic := s.topic("GoAdminChangeTopic", 2)
	// Upstream sends registrations of topics by several threads; one that comes late would undo this change.
	time.Sleep(3 * time.Second)
	a := s.admin()
	defer a.Close()
	s.create(a, topic, admin.WithReadQueueNums(4), admin.WithWriteQueueNums(1), admin.WithPerm(4))
	await("the new route", func() bool {
		return strings.Contains(string(s.ask(s.aNamesrv(), getRoute, fields{"topic": topic}, nil).body), `"readQueueNums":4`)
	})
	return object{"config": s.topicConfig(topic), "route": s.route(topic)}
}

func adminDeleteTopic(s *site) any {
	topic := s.topic("GoAdminDeleteTopic", 1)
	p := s.producer("PID_GoAdminDeleteTopic", oneQueue())
	must(p.SendSync(background, toQueue0(topic, "1")))
	a := s.admin()
	defer a.Close()
	check(a.DeleteTopic(background, admin.WithTopicDelete(topic), admin.WithBrokerAddrDelete(s.broker),
		admin.WithNameSrvAddr(s.namesrvs)))
	route, config := s.route(topic), s.topicConfig(topic)
	// The client still knows the route; the topic comes back empty.
	again := s.sent(p.SendSync(background, toQueue0(topic, "2")))
	return object{"route": route, "config": config, "again": again, "stored": bodies(s.readUntil(topic, 1, 1))}
}

func adminIllegalTopic(s *site) any {
	a := s.admin()
	defer a.Close()
	answers := object{}
	for _, name := range []string{"GoAdmin!Illegal", "TBW102", "SCHEDULE_TOPIC_XXXX", "Go" + strings.Repeat("x", 130)} {
		r := s.ask(s.broker, createTopic, fields{
			"topic": name, "defaultTopic": "TBW102", "readQueueNums": "1", "writeQueueNums": "1", "perm": "6",
			"topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false",
		}, nil)
		answers[name] = s.refusal(r)
	}
	answers["delete missing"] = s.failure(a.DeleteTopic(background, admin.WithTopicDelete("GoAdminNoSuchTopic"),
		admin.WithBrokerAddrDelete(s.broker), admin.WithNameSrvAddr(s.namesrvs)))
	// Of the broker alone: this client goes on to the name servers whatever the broker says.
	answers["delete TBW102"] = s.refusal(s.ask(s.broker, deleteTopic, fields{"topic": "TBW102"}, nil))
	return answers
}

// isOurs tells the topics and groups of this program from those that a broker has of its own.
func isOurs(name string) bool {
	for _, prefix := range []string{"Go", "GID_", "%RETRY%", "%DLQ%"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func adminSystemTopics(s *site) any {
	a := s.admin()
	defer a.Close()
	topics := make([]string, 0)
	for _, each := range must(a.FetchAllTopicList(background)).TopicList {
		if !isOurs(each) {
			topics = append(topics, each)
		}
	}
	sort.Strings(topics)
	return topics
}

func adminClusters(s *site) any {
	topic := s.topic("GoAdminClusters", 1)
	a := s.admin()
	defer a.Close()
	clusters, err := a.FetchClusterList(topic)
	return object{"clusters": clusters, "error": s.failure(err)}
}

func adminGroups(s *site) any {
	topic := s.topic("GoAdminGroups", 1)
	const group = "GID_GoAdminGroups"
	s.join(group, topic)
	a := s.admin()
	defer a.Close()
	var table map[string]admin.SubscriptionGroupConfig
	await("the group", func() bool {
		table = must(a.GetAllSubscriptionGroup(background, s.broker, 5*time.Second)).SubscriptionGroupTable
		_, is := table[group]
		return is
	})
	own := make([]string, 0)
	for name := range table {
		if !isOurs(name) {
			own = append(own, name)
		}
	}
	sort.Strings(own)
	return object{"system": own, "group": table[group]}
}

func adminUnknownRoute(s *site) any {
	a := s.admin()
	defer a.Close()
	_, err := a.FetchPublishMessageQueues(background, "GoAdminUnknownRoute")
	return object{"error": s.failure(err), "route": s.route("GoAdminUnknownRoute")}
}
