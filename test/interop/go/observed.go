// What a point tells of what it saw, so that two runs against equal brokers tell the same: messages, results, refusals and
// JSON bodies, without ids, addresses and times.

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

type object = map[string]any

func itoa[N int | int32 | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

var (
	clientId  = regexp.MustCompile(`[\d.]*@client-\d+-\d+`)
	address   = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)
	messageId = regexp.MustCompile(`[0-9A-Fa-f]{32}`)
	uuid      = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	millis    = regexp.MustCompile(`\b1[5-9]\d{11}\b`)
)

// normal replaces what differs between runs: addresses, ids, times.
func (s *site) normal(text string) string {
	text = clientId.ReplaceAllString(text, "<client>")
	text = strings.ReplaceAll(text, s.broker, "<broker>")
	for _, namesrv := range s.namesrvs {
		text = strings.ReplaceAll(text, namesrv, "<namesrv>")
	}
	text = address.ReplaceAllString(text, "<address>")
	text = uuid.ReplaceAllString(text, "<uuid>")
	text = messageId.ReplaceAllString(text, "<id>")
	return millis.ReplaceAllString(text, "<millis>")
}

// What the client makes of a response that is no success.
var refused = regexp.MustCompile(`(?s)^(?:CODE: |unknown Response Code: )(-?\d+), (?:DESC|remark): (.*)$`)

// failure is the text of an error, or "none"; of a refusal the code, and its remark is noted.
func (s *site) failure(err error) string {
	if err == nil {
		return "none"
	}
	if parts := refused.FindStringSubmatch(err.Error()); parts != nil {
		s.note(parts[1], parts[2])
		return "code " + parts[1]
	}
	return s.normal(err.Error())
}

// refusal is the code of a response; its remark is noted.
func (s *site) refusal(a answer) object {
	if a.code != 0 {
		s.note(itoa(a.code), a.remark)
	}
	return object{"code": a.code}
}

// What a message says of the moment of its delivery, not of itself.
var momentary = map[string]bool{primitive.PropertyMaxOffset: true, primitive.PropertyConsumeStartTime: true}

// message is all that a consumer sees of a message.
func (s *site) message(m *primitive.MessageExt) object {
	o := object{
		"topic": m.Topic, "queueId": m.Queue.QueueId, "queueOffset": m.QueueOffset, "flag": m.Flag, "sysFlag": m.SysFlag,
		"reconsumeTimes": m.ReconsumeTimes, "preparedTransactionOffset": m.PreparedTransactionOffset,
		"body": bodyText(m.Body), "bodyCRC": m.BodyCRC, "storeSize": m.StoreSize, "bornHost": s.normal(m.BornHost),
		"storeHost": s.normal(m.StoreHost), "properties": s.properties(m.GetProperties()),
	}
	return o
}

func (s *site) properties(of map[string]string) object {
	o := object{}
	for key, value := range of {
		if !momentary[key] {
			o[key] = s.normal(value)
		}
	}
	return o
}

// messages in the order of their bodies.
func (s *site) messages(of []*primitive.MessageExt) []object {
	sorted := append([]*primitive.MessageExt{}, of...)
	sort.SliceStable(sorted, func(a, b int) bool { return string(sorted[a].Body) < string(sorted[b].Body) })
	all := make([]object, 0, len(sorted))
	for _, m := range sorted {
		all = append(all, s.message(m))
	}
	return all
}

func bodies(of []*primitive.MessageExt) []string {
	all := make([]string, 0, len(of))
	for _, m := range of {
		all = append(all, bodyText(m.Body))
	}
	return all
}

func sortedBodies(of []*primitive.MessageExt) []string {
	all := bodies(of)
	sort.Strings(all)
	return all
}

// bodyText is the body, or a digest of a long one.
func bodyText(body []byte) string {
	if len(body) <= 100 {
		return string(body)
	}
	digest := sha256.Sum256(body)
	return itoa(len(body)) + " bytes " + hex.EncodeToString(digest[:4])
}

// sent is all that a producer learns of a send.
func (s *site) sent(result *primitive.SendResult, err error) object {
	if err != nil {
		return object{"error": s.failure(err)}
	}
	stored := "several places"
	if id, idErr := primitive.UnmarshalMsgID([]byte(result.OffsetMsgID)); idErr == nil && len(result.OffsetMsgID) == 32 {
		stored = s.normal(id.Addr + ":" + itoa(id.Port))
	}
	return object{
		"status": int(result.Status), "msgId": s.normal(result.MsgID), "topic": result.MessageQueue.Topic,
		"brokerName": result.MessageQueue.BrokerName, "queueId": result.MessageQueue.QueueId,
		"queueOffset": result.QueueOffset, "transactionId": s.normal(result.TransactionID),
		"offsetMsgId": s.normal(result.OffsetMsgID), "storedAt": stored, "region": result.RegionID,
		"traceOn": result.TraceOn,
	}
}

// decoded is a JSON text as values; texts in it are normalised, times too.
func (s *site) decoded(body []byte) any {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return "not JSON: " + s.normal(string(body))
	}
	return s.normalValue(value)
}

func (s *site) normalValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		o := object{}
		for key, member := range v {
			o[s.normal(key)] = s.normalValue(member)
		}
		return o
	case []any:
		for i := range v {
			v[i] = s.normalValue(v[i])
		}
		return v
	case string:
		return s.normal(v)
	case float64:
		if v > 1.5e12 && v < 2e12 {
			return "<millis>"
		}
		return v
	}
	return value
}

// inbox holds what a consumer received.
type inbox struct {
	mutex sync.Mutex
	all   []*primitive.MessageExt
}

func (i *inbox) take(_ context.Context, of ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
	i.add(of...)
	return consumer.ConsumeSuccess, nil
}

func (i *inbox) add(of ...*primitive.MessageExt) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.all = append(i.all, of...)
}

func (i *inbox) received() []*primitive.MessageExt {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return append([]*primitive.MessageExt{}, i.all...)
}

func (i *inbox) count() int { return len(i.received()) }

// wait returns what was received once it is so many messages.
func (i *inbox) wait(count int) []*primitive.MessageExt {
	await(itoa(count)+" messages", func() bool { return i.count() >= count })
	return i.received()
}

// until returns what was received once a body is among it and nothing more has come for a second: consumers take the
// messages of one answer side by side, in any order.
func (i *inbox) until(body string) []string {
	await(body, func() bool { return slices.Contains(bodies(i.received()), body) })
	for before := -1; before != i.count(); time.Sleep(time.Second) {
		before = i.count()
	}
	return sortedBodies(i.received())
}
