// A program of RocketMQ's Go client that uses a name server and a broker as applications do, point by point, and prints
// one JSON line for each point: {"name","ok","observed"}. What is observed is normalised: no ids, times, addresses. The
// same lines come out of brokers that behave alike; goClient.test.ts compares those of foldlog and of a real RocketMQ.
//
// Every point has topics and groups of its own, so that many of them run at once.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

const (
	// A point lasts no longer; what waits longer has failed.
	pointLimit = 75 * time.Second
	// So many run at once: most of them wait most of the time, and the broker is not to be met by all at its first breath.
	together = 20
)

// point is one thing that an application does; it panics (see check) when it cannot be done.
type point struct {
	name string
	run  func(s *site) any
}

type line struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Observed any    `json:"observed"`
}

// allPoints begins with those that last.
func allPoints() []point {
	families := [][]point{
		consumerAdminPoints(), pushPoints(), transactionPoints(), orderlyPoints(), delayPoints(), retryPoints(),
		requestPoints(), startPoints(), filterPoints(), pullPoints(), tracePoints(), sendPoints(), refusalPoints(),
		adminPoints(),
	}
	var all []point
	for _, family := range families {
		all = append(all, family...)
	}
	return all
}

func main() {
	namesrv := flag.String("namesrv", "127.0.0.1:9876", "addresses of the name servers, separated by ;")
	broker := flag.String("broker", "127.0.0.1:10911", "address of the broker")
	only := flag.String("only", ".", "regular expression: points to run")
	timed := flag.Bool("timed", false, "tell on standard error how long each point took")
	flag.Parse()
	wanted := regexp.MustCompile(*only)

	s := &site{namesrvs: strings.Split(*namesrv, ";"), broker: *broker, remarks: map[string]bool{}}
	lines := make([]*line, 0)
	var running sync.WaitGroup
	places := make(chan bool, together)
	s.topic("GoWarm", 1)
	for _, p := range allPoints() {
		if !wanted.MatchString(p.name) {
			continue
		}
		l := &line{Name: p.name}
		lines = append(lines, l)
		running.Add(1)
		places <- true
		go func() {
			defer func() {
				<-places
				running.Done()
			}()
			began := time.Now()
			l.OK, l.Observed = carryOut(p, s)
			if *timed {
				fmt.Fprintf(os.Stderr, "%6.1f s %s\n", time.Since(began).Seconds(), p.name)
			}
		}()
	}
	running.Wait()
	lines = append(lines, &line{"remarks", true, s.noted()})
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for _, l := range lines {
		check(out.Encode(l))
	}
	// Clients that still run end with the process, as they do when an application is killed.
	os.Exit(0)
}

// carryOut runs a point to its end or to its limit.
func carryOut(p point, s *site) (bool, any) {
	type outcome struct {
		ok       bool
		observed any
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if failure := recover(); failure != nil {
				fmt.Fprintf(os.Stderr, "point %s: %v\n%s\n", p.name, failure, debug.Stack())
				done <- outcome{false, s.normal(fmt.Sprint(failure))}
			}
		}()
		done <- outcome{true, p.run(s)}
	}()
	select {
	case o := <-done:
		return o.ok, o.observed
	case <-time.After(pointLimit):
		return false, "did not end in time"
	}
}

// check panics with an error, which fails the point.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// must returns the value, or panics with the error.
func must[T any](value T, err error) T {
	check(err)
	return value
}
