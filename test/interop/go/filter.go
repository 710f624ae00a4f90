// Filters by tag and by SQL92, with its rules for properties that are absent or no numbers.

package main

import (
	"encoding/json"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func filterPoints() []point {
	return []point{
		{"filter.tags", filterTags}, {"filter.sql", filterSql}, {"filter.expressions", filterExpressions},
		{"filter.checked", filterChecked}, {"filter.uncompilable", filterUncompilable},
		{"filter.changed", filterChanged},
	}
}

func sql(expression string) consumer.MessageSelector {
	return consumer.MessageSelector{Type: consumer.SQL92, Expression: expression}
}

func filterTags(s *site) any {
	topic := s.topic("GoFilterTags", 1)
	p := s.producer("PID_GoFilterTags", oneQueue())
	for _, tag := range []string{"A", "B", "", "C", "AaAa", "BBBB", "A B"} {
		must(p.SendSync(background, toQueue0(topic, "tag "+tag).WithTag(tag)))
	}
	must(p.SendSync(background, toQueue0(topic, "end").WithTag("End")))
	received := object{}
	// AaAa and BBBB have the same hash: the broker lets both pass, the client only one.
	for i, expression := range []string{"*", "A", "A || C", " A||  B ", "AaAa", "Nobody", "A B"} {
		withEnd := expression + " || End"
		if expression == "*" {
			withEnd = expression
		}
		_, in := s.consume("GID_GoFilterTags"+itoa(i), topic, withEnd)
		received[expression] = in.until("end")
	}
	return received
}

func (s *site) sendForSql(topic string) {
	p := s.producer("PID_"+topic, oneQueue())
	send := func(body, tag string, properties fields) {
		m := toQueue0(topic, body).WithTag(tag)
		for key, value := range properties {
			m.WithProperty(key, value)
		}
		must(p.SendSync(background, m))
	}
	send("full", "TagA", fields{"status": "1", "price": "2.5", "name": "abc", "flag": "true"})
	send("other", "TagB", fields{"status": "2", "price": "10", "name": "Zürich", "flag": "false"})
	send("bare", "", nil)
	send("words", "TagA", fields{"status": "one", "price": "much", "name": ""})
	s.awaitStored(topic, 1, 4)
}

func filterSql(s *site) any {
	topic := s.topic("GoFilterSql", 1)
	received := new(inbox)
	c := s.consumer("GID_GoFilterSql")
	check(c.Subscribe(topic, sql("(status = 2 OR name IS NULL) AND TAGS IS NOT NULL"), received.take))
	check(c.Start())
	s.sendForSql(topic)
	must(s.producer("PID_GoFilterSqlEnd", oneQueue()).SendSync(background, toQueue0(topic, "end").WithTag("End")))
	return received.until("end")
}

// What passes each expression, as a pull says that brings its own.
func filterExpressions(s *site) any {
	topic := s.topic("GoFilterExpressions", 1)
	s.sendForSql(topic)
	passed := object{}
	for _, expression := range []string{
		"status = 1", "status = '1'", "status = 1.0", "status = 1L", "status <> 1", "status > 0", "status >= 2", "NOT (status = 2)",
		"status BETWEEN 0 AND 1", "status NOT BETWEEN 0 AND 1", "price = 2.5", "price < 3.0", "price < 3", "name = 'abc'",
		"name = 5", "name IN ('abc', 'x')", "name NOT IN ('abc', 'x')", "name CONTAINS 'b'", "name NOT CONTAINS 'b'",
		"name STARTSWITH 'Z'", "name ENDSWITH 'ich'", "missing = 1", "missing <> 1", "NOT (missing = 1)", "missing IS NULL",
		"missing IS NOT NULL", "name IS NULL", "missing IN ('a')", "missing NOT IN ('a')", "missing CONTAINS 'a'",
		"missing NOT CONTAINS 'a'", "missing = 1 OR status = 1", "status = 1 AND missing > 2", "flag = TRUE", "flag = FALSE",
		"flag", "1 = 1", "TRUE", "FALSE", "TAGS = 'TagA'", "TAGS IS NULL", "Status = 1", "status = 1 AND TAGS = 'TagA'",
		"(status = 1 OR status = 2) AND NOT (name = 'abc')", "status + 1 = 2", "status like 'a%'", "NOT status = 2",
		"UNIQ_KEY IS NOT NULL", "name = 'Zürich'", "status = -1", "status > -1", "-- comment\nstatus = 1", "/* c */ status = 1",
	} {
		a := s.pullOnce(topic, 0, 0, fields{"subscription": expression, "expressionType": "SQL92", "subVersion": itoa(time.Now().UnixMilli())})
		passed[expression] = object{"code": a.code, "next": a.extFields["nextBeginOffset"], "bodies": bodies(primitive.DecodeMessage(a.body))}
	}
	return passed
}

// What a broker says of expressions before a consumer begins; the remark holds the text of the parser, which differs.
func filterChecked(s *site) any {
	codes := object{}
	for _, expression := range []string{
		"status = 1", "status IN (1, 2)", "missing = NULL", "status != 2", "", "status BETWEEN 5 AND 0", "name > 'abb'",
		"name BETWEEN 'a' AND 'z'", "status =", "(status = 1", "status = 'open", "a = 1 AND", "NULL = NULL",
	} {
		body := must(json.Marshal(object{
			"clientId": "checker", "group": "GID_GoFilterChecked", "subscriptionData": object{
				"classFilterMode": false, "codeSet": []int{}, "expressionType": "SQL92", "subString": expression,
				"subVersion": 1, "tagsSet": []string{}, "topic": "GoFilterChecked",
			},
		}))
		codes[expression] = s.ask(s.broker, checkClientConfig, fields{}, body).code
	}
	return codes
}

// A pull whose own expression does not compile.
func filterUncompilable(s *site) any {
	topic := s.topic("GoFilterUncompilable", 1)
	s.sendForSql(topic)
	a := s.pullOnce(topic, 0, 0, fields{"subscription": "status != 2", "expressionType": "SQL92"})
	return object{"code": a.code, "bodies": bodies(primitive.DecodeMessage(a.body))}
}

// A group that comes back with another expression receives by the new one.
func filterChanged(s *site) any {
	topic := s.topic("GoFilterChanged", 1)
	const group = "GID_GoFilterChanged"
	p := s.producer("PID_GoFilterChanged", oneQueue())
	first, before := s.consume(group, topic, "A")
	must(p.SendSync(background, toQueue0(topic, "1").WithTag("B")))
	must(p.SendSync(background, toQueue0(topic, "2").WithTag("A")))
	before.wait(1)
	leave(first)
	await("the offset", func() bool { return s.committed(group, topic, 0) == 2 })
	_, after := s.consume(group, topic, "B")
	must(p.SendSync(background, toQueue0(topic, "3").WithTag("A")))
	must(p.SendSync(background, toQueue0(topic, "4").WithTag("B")))
	return object{"before": bodies(before.received()), "after": bodies(after.wait(1))}
}
