// Message traces, as the client writes them into their topic.

package main

import (
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func tracePoints() []point {
	return []point{{"trace.both", traceBoth}}
}

const traceTopic = "RMQ_SYS_TRACE_TOPIC"

// A traced send and its consumption leave three records in the trace topic, found by the message's id.
func traceBoth(s *site) any {
	topic := s.topic("GoTrace", 1)
	s.awaitRoute(traceTopic)
	config := &primitive.TraceConfig{GroupName: "PID_GoTrace", Access: primitive.Local, Resolver: s.resolver()}
	_, received := s.consume("GID_GoTrace", topic, "*", consumer.WithTrace(config))
	p := s.producer("PID_GoTrace", oneQueue(), producer.WithTrace(config))
	result := must(p.SendSync(background, toQueue0(topic, "traced").WithTag("TagA").WithKeys([]string{"key-1"})))
	received.wait(1)
	records := object{}
	await("three trace records", func() bool {
		time.Sleep(200 * time.Millisecond)
		for _, m := range s.read(traceTopic, 1) {
			if !strings.Contains(m.GetKeys(), result.MsgID) {
				continue
			}
			for _, record := range strings.Split(strings.TrimRight(string(m.Body), "\x02"), "\x02") {
				parts := strings.Split(record, "\x01")
				for i := range parts {
					parts[i] = s.normal(parts[i])
				}
				records[parts[0]] = s.traceFields(parts)
			}
		}
		return len(records) == 3
	})
	return object{"records": records, "route": s.route(traceTopic), "sent": s.sent(result, nil)}
}

// traceFields leaves out how long something took, and the address of this machine.
func (s *site) traceFields(parts []string) []string {
	costAt := map[string]int{"Pub": 10, "SubAfter": 3}
	if at, has := costAt[parts[0]]; has && at < len(parts) {
		parts[at] = "<cost>"
	}
	for i, part := range parts {
		if strings.Count(part, ".") == 3 && !strings.ContainsAny(part, " :<") {
			parts[i] = "<host>"
		}
	}
	return parts
}
