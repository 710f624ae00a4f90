// Requests as frames, beside the client: what it does not offer, and what shows a broker's answer as it is.
// Upstream: RemotingCommand, MessageDecoder.

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// Requests that the Go client does not offer, sent as frames of their own: total length, header length, a JSON header,
// the body. Upstream: RemotingCommand.

const (
	pullMessage       = 11
	queryOffset       = 14
	createTopic       = 17
	getMaxOffset      = 30
	getMinOffset      = 31
	heartBeat         = 34
	consumersOfGroup  = 38
	lockQueues        = 41
	unlockQueues      = 42
	checkClientConfig = 46
	getRoute          = 105
	consumerClients   = 203
	producerClients   = 204
	deleteTopic       = 215
	resetOffset       = 222
	consumerStatus    = 223
	runningInfo       = 307
	consumeDirectly   = 309
	getTopicConfig    = 351
)

type fields = map[string]string

type answer struct {
	code      int
	remark    string
	extFields fields
	body      []byte
}

var opaques atomic.Int32

// ask sends one request over a connection of its own.
func (s *site) ask(to string, code int, extFields fields, body []byte) answer {
	connection := must(net.DialTimeout("tcp", to, 10*time.Second))
	defer connection.Close()
	check(connection.SetDeadline(time.Now().Add(30 * time.Second)))
	opaque := opaques.Add(1)
	header := must(json.Marshal(object{
		"code": code, "language": "GO", "version": 317, "opaque": opaque, "flag": 0, "extFields": extFields,
	}))
	var frame bytes.Buffer
	for _, part := range []any{int32(4 + len(header) + len(body)), int32(len(header)), header, body} {
		check(binary.Write(&frame, binary.BigEndian, part))
	}
	must(connection.Write(frame.Bytes()))
	for {
		a, of, isResponse := readAnswer(connection)
		// The broker may ask something of its own meanwhile.
		if isResponse && of == opaque {
			return a
		}
	}
}

func readAnswer(from io.Reader) (a answer, opaque int32, isResponse bool) {
	var length, headerLength int32
	check(binary.Read(from, binary.BigEndian, &length))
	frame := make([]byte, length)
	must(io.ReadFull(from, frame))
	check(binary.Read(bytes.NewReader(frame), binary.BigEndian, &headerLength))
	headerLength &= 0xffffff
	var header struct {
		Code, Flag int
		Opaque     int32
		Remark     string
		ExtFields  fields
	}
	check(json.Unmarshal(frame[4:4+headerLength], &header))
	a = answer{header.Code, header.Remark, header.ExtFields, frame[4+headerLength:]}
	return a, header.Opaque, header.Flag&1 == 1
}

func (a answer) offset() int64 { return must(strconv.ParseInt(a.extFields["offset"], 10, 64)) }

// maxOffset of a queue: where its next message goes.
func (s *site) maxOffset(topic string, id int) int64 {
	return s.ask(s.broker, getMaxOffset, fields{"topic": topic, "queueId": itoa(id)}, nil).offset()
}

// read is every message of the first queues of a topic.
func (s *site) read(topic string, queues int) []*primitive.MessageExt {
	var all []*primitive.MessageExt
	for id := 0; id < queues; id++ {
		for from := int64(0); from < s.maxOffset(topic, id); {
			a := s.pullOnce(topic, id, from, fields{})
			if a.code != 0 {
				panic(fmt.Sprintf("pull of %s: %d %s", topic, a.code, a.remark))
			}
			all = append(all, primitive.DecodeMessage(a.body)...)
			from = must(strconv.ParseInt(a.extFields["nextBeginOffset"], 10, 64))
		}
	}
	return all
}

// pullOnce pulls with a subscription of its own, and does not wait unless told to.
func (s *site) pullOnce(topic string, id int, from int64, more fields) answer {
	extFields := fields{
		"consumerGroup": "GID_GoReader", "topic": topic, "queueId": itoa(id), "queueOffset": itoa(from),
		"maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "0", "subscription": "*",
		"subVersion": "0", "expressionType": "TAG",
	}
	for key, value := range more {
		extFields[key] = value
	}
	return s.ask(s.broker, pullMessage, extFields, nil)
}

// readUntil is every message of a topic once it has so many.
func (s *site) readUntil(topic string, queues, count int) []*primitive.MessageExt {
	s.awaitStored(topic, queues, count)
	return s.read(topic, queues)
}

// awaitStored waits until the queues of a topic hold so many messages: upstream fills its queues a little later than it
// answers the sender.
func (s *site) awaitStored(topic string, queues, count int) {
	await(itoa(count)+" messages in "+topic, func() bool {
		total := int64(0)
		for id := 0; id < queues; id++ {
			total += s.maxOffset(topic, id)
		}
		return total >= int64(count)
	})
}

// committed is the offset of a group in a queue, -1 when it has none.
func (s *site) committed(group, topic string, id int) int64 {
	a := s.ask(s.broker, queryOffset, fields{
		"consumerGroup": group, "topic": topic, "queueId": itoa(id), "setZeroIfNotFound": "false",
	}, nil)
	if a.code != 0 {
		return -1
	}
	return a.offset()
}
