// Command porcupine-bench checks a history of registers with Porcupine, so that caplab's own checker can be set beside it
// on the same file.
//
// Input: CSV with the header session,op,key,value,invoke_ns,return_ns,outcome and, where there are cas, expected,observed,
// error. op is read, write or cas; an empty value is absent; return_ns is empty for an operation that never returned;
// outcome is ok, fail or info. A failed operation and a read that is not ok constrain nothing and are left out; an info
// write or cas may take effect any time later. A cas that is ok took effect if it observed what it expected, and else read
// what it observed. A cas that failed without an error was refused: it found anything but what it expected.
//
// Output: one JSON object. Without -keys the time of checking all keys at once, until the first that is illegal; with it
// the name of every illegal key, each checked by itself.
package main

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	absent  = int64(math.MinInt64)
	timeout = 600 * time.Second
)

type input struct {
	op              string
	key             string
	value, expected int64
}

// output is what an operation saw; known is false for an info operation. refused: only that it was not what was expected.
type output struct {
	known   bool
	seen    int64
	refused bool
}

func fail(message ...any) {
	fmt.Fprintln(os.Stderr, message...)
	os.Exit(3)
}

func number(s string, missing int64) int64 {
	if s == "" {
		return missing
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		fail("not a number:", s)
	}
	return n
}

func load(path string) []porcupine.Operation {
	file, err := os.Open(path)
	if err != nil {
		fail(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) == 0 {
		fail("not a history:", path, err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	// Porcupine wants one operation at a time per client id, so an info operation gets an id of its own.
	clients := map[string]int{}
	var ops []porcupine.Operation
	for i, row := range rows[1:] {
		at := func(name string) string {
			if place, there := column[name]; there {
				return row[place]
			}
			return ""
		}
		op, info := at("op"), at("outcome") == "info"
		refused := op == "cas" && at("outcome") == "fail" && at("error") == ""
		if (at("outcome") == "fail" && !refused) || (info && op == "read") {
			continue
		}
		client, end := at("session"), number(at("return_ns"), math.MaxInt64)
		if info {
			client, end = fmt.Sprint("info-", i), math.MaxInt64
		}
		if _, seen := clients[client]; !seen {
			clients[client] = len(clients)
		}
		seen := number(at("value"), absent)
		if op == "cas" {
			seen = number(at("observed"), absent)
		}
		ops = append(ops, porcupine.Operation{
			ClientId: clients[client],
			Input:    input{op, at("key"), number(at("value"), absent), number(at("expected"), absent)},
			Call:     number(at("invoke_ns"), 0),
			Output:   output{!info && !refused, seen, refused},
			Return:   end,
		})
	}
	return ops
}

func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, op := range history {
		k := op.Input.(input).key
		keys[k] = append(keys[k], op)
	}
	var parts [][]porcupine.Operation
	for _, part := range keys {
		parts = append(parts, part)
	}
	return parts
}

func step(state, in, out any) (bool, any) {
	op, result, value := in.(input), out.(output), state.(int64)
	switch {
	case op.op == "write":
		return true, op.value
	case result.refused:
		return value != op.expected, state
	case result.known && result.seen != value:
		return false, state
	case op.op == "cas" && op.expected == value:
		return true, op.value
	}
	return true, state
}

func main() {
	keys := flag.Bool("keys", false, "name every illegal key")
	flag.Parse()
	if flag.NArg() != 1 {
		fail("usage: porcupine-bench [-keys] HISTORY.csv")
	}
	ops := load(flag.Arg(0))
	model := porcupine.Model{Partition: byKey, Init: func() any { return absent }, Step: step}
	if *keys {
		illegal, unknown := []string{}, []string{}
		parts := byKey(ops)
		for _, part := range parts {
			switch name := part[0].Input.(input).key; porcupine.CheckOperationsTimeout(model, part, timeout) {
			case porcupine.Illegal:
				illegal = append(illegal, name)
			case porcupine.Unknown:
				unknown = append(unknown, name)
			}
		}
		sort.Strings(illegal)
		json.NewEncoder(os.Stdout).Encode(map[string]any{"keys": len(parts), "illegal": illegal, "unknown": unknown})
		return
	}
	start := time.Now()
	result := porcupine.CheckOperationsTimeout(model, ops, timeout)
	seconds := time.Since(start).Seconds()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"operations": len(ops), "result": result, "seconds": seconds, "operations_per_second": float64(len(ops)) / seconds,
	})
}
