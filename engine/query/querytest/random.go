package querytest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"strings"

	"github.com/ringctl/ringctl/engine/trace"
)

// Random makes traces from a seed: small trees with orphans, cycles, shared client and server ids, copies of spans, and
// attributes whose type changes from span to span. Each message is one export request.
func Random(seed int64, traces int) [][]byte {
	r := rand.New(rand.NewSource(seed))
	var out [][]byte
	for t := range traces {
		var id trace.ID
		binary.BigEndian.PutUint64(id[8:], uint64(t)*7919+1)
		if r.Intn(3) == 0 {
			binary.BigEndian.PutUint64(id[:], r.Uint64())
		}
		out = append(out, randomTrace(r, id))
	}
	return out
}

func randomTrace(r *rand.Rand, id trace.ID) []byte {
	var b trace.Builder
	n := 1 + r.Intn(12)
	base := uint64(Epoch) + uint64(r.Intn(3600))*1e9
	for i := range n {
		s := trace.Span{TraceID: id, Name: []byte(pick(r, "GET /", "POST /", "query", "render", "")), Kind: trace.SpanKind(r.Intn(6)), StatusCode: trace.StatusCode(r.Intn(3))}
		binary.BigEndian.PutUint64(s.SpanID[:], uint64(i+1))
		if r.Intn(20) == 0 && i > 0 { // the id of the span before: shared or a copy
			binary.BigEndian.PutUint64(s.SpanID[:], uint64(i))
		}
		switch parent := uint64(0); {
		case i > 0 && r.Intn(10) > 0:
			parent = uint64(1 + r.Intn(i))
			binary.BigEndian.PutUint64(s.ParentID[:], parent)
		case r.Intn(6) == 0: // not there, or a cycle
			parent = uint64(1 + r.Intn(n+3))
			binary.BigEndian.PutUint64(s.ParentID[:], parent)
		}
		s.Start = base + uint64(i)*1000 + uint64(r.Intn(1000))
		s.End = s.Start + uint64(r.Intn(5))*uint64(math.Pow10(r.Intn(10)))
		if r.Intn(5) == 0 {
			s.StatusMessage = []byte(pick(r, "boom", "timeout"))
		}
		for _, key := range []string{"a", "b", "c", "rare", "svc"} {
			if key == "rare" && r.Intn(10) > 0 {
				continue
			}
			if r.Intn(3) > 0 {
				s.Attrs = append(s.Attrs, trace.Attr{Key: []byte(key), Value: randomValue(r)})
			}
		}
		randomNested(r, &s)
		res := []trace.Attr{{Key: []byte("service.name"), Value: trace.StringValue([]byte(pick(r, "front", "cart", "db")))}}
		if r.Intn(2) == 0 {
			res = append(res, trace.Attr{Key: []byte(pick(r, "a", "b", "region")), Value: randomValue(r)})
		}
		b.SetResource(&trace.Group{Raw: trace.AppendResource(nil, &trace.Resource{Attrs: res})})
		sc := trace.Scope{Name: []byte(pick(r, "", "lib", "http")), Version: []byte(pick(r, "", "1.0"))}
		if r.Intn(3) == 0 {
			sc.Attrs = []trace.Attr{{Key: []byte("a"), Value: randomValue(r)}}
		}
		b.SetScope(&trace.Group{Raw: trace.AppendScope(nil, &sc)})
		b.AddSpan(&s)
	}
	return b.Append(nil)
}

func randomNested(r *rand.Rand, s *trace.Span) {
	for r.Intn(4) == 0 {
		e := trace.Event{Name: []byte(pick(r, "exception", "log")), Time: s.Start + uint64(r.Intn(3))*1e6}
		if r.Intn(2) == 0 {
			e.Attrs = []trace.Attr{{Key: []byte("a"), Value: randomValue(r)}}
		}
		s.Events = trace.AppendEvent(s.Events, &e)
	}
	for r.Intn(6) == 0 {
		l := trace.Link{TraceID: trace.ID{15: byte(r.Intn(5))}, SpanID: trace.SpanID{7: byte(1 + r.Intn(5))}}
		if r.Intn(2) == 0 {
			l.Attrs = []trace.Attr{{Key: []byte("a"), Value: randomValue(r)}}
		}
		s.Links = trace.AppendLink(s.Links, &l)
	}
}

func pick(r *rand.Rand, list ...string) string { return list[r.Intn(len(list))] }

func randomValue(r *rand.Rand) trace.Value {
	switch r.Intn(9) {
	case 0, 1:
		return trace.StringValue([]byte(pick(r, "", "x", "y", "xy", "nil", "orders/12", "error")))
	case 2, 3:
		return trace.IntValue(int64(r.Intn(7) - 3))
	case 4:
		return trace.DoubleValue([]float64{-1.5, 0, 1, 2.5, 1e19, math.Inf(1)}[r.Intn(6)])
	case 5:
		return trace.BoolValue(r.Intn(2) == 0)
	case 6:
		return trace.IntValue([]int64{math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1}[r.Intn(4)])
	case 7:
		v := trace.Value{Kind: trace.KindArray}
		first := randomValue(r)
		for range r.Intn(4) {
			e := first
			if r.Intn(3) == 0 {
				e = randomValue(r)
			}
			v.Bytes = trace.AppendElement(v.Bytes, &e)
		}
		return v
	}
	if r.Intn(3) == 0 {
		return trace.Value{}
	}
	return trace.BytesValue([]byte("raw"))
}

// RandomFilter makes the text of a condition on spans.
func RandomFilter(r *rand.Rand, depth int) string {
	if depth > 0 && r.Intn(3) > 0 {
		switch r.Intn(4) {
		case 0:
			return "!(" + RandomFilter(r, depth-1) + ")"
		default:
			return "(" + RandomFilter(r, depth-1) + pick(r, " && ", " || ") + RandomFilter(r, depth-1) + ")"
		}
	}
	at := pick(r, ".a", "span.a", "resource.a", ".b", "span.b", ".c", ".rare", "span.svc", "event.a", "link.a", "instrumentation.a", "parent.a", "parent.resource.a")
	num := pick(r, "0", "1", "-1", "2.5", "1e19", "2s", "minInt", "maxInt", "9007199254740993", "1.5")
	str := pick(r, `""`, `"x"`, `"y"`, `"xy"`, `"nil"`, `"error"`)
	op := pick(r, "=", "!=", "<", "<=", ">", ">=")
	eq := pick(r, "=", "!=")
	switch r.Intn(20) {
	case 0, 1, 2:
		return at + " " + op + " " + num
	case 3, 4:
		return at + " " + op + " " + str
	case 5:
		return at + pick(r, " =~ ", " !~ ") + pick(r, `"x.*"`, `".*y"`, `"(?i)X"`, `"x|y"`, `".*ders/1[0-9]"`, `""`)
	case 6:
		return at + " " + eq + " nil"
	case 7:
		return pick(r, "", "!") + at
	case 8:
		return at + " " + eq + " " + pick(r, "true", "false")
	case 9:
		return pick(r, "duration", "span:duration", "trace:duration", "event:timeSinceStart") + " " + op + " " + pick(r, "0s", "1ms", "3us", "100", "1.5")
	case 10:
		return pick(r, "name", "statusMessage", "rootName", "rootServiceName", "resource.service.name", "event:name", "instrumentation:name") + " " + eq + " " + pick(r, `"GET /"`, `""`, `"boom"`, `"cart"`, `"exception"`, `"lib"`)
	case 11:
		return "status " + eq + " " + pick(r, "ok", "error", "unset")
	case 12:
		return "kind " + eq + " " + pick(r, "server", "client", "internal")
	case 13:
		return pick(r, "span:childCount", "nestedSetLeft", "nestedSetRight", "nestedSetParent") + " " + op + " " + pick(r, "-1", "0", "1", "3")
	case 14:
		return at + " " + pick(r, "+", "-", "*", "/", "%", "^") + " " + pick(r, "2", "-1", "0", "1.5", ".b") + " " + op + " " + num
	case 15:
		return at + " " + op + " " + pick(r, ".a", ".b", "duration", "span.c")
	case 16:
		return num + " " + op + " " + at
	case 17:
		return pick(r, "span:id", "span:parentID", "link:spanID") + " " + eq + " " + pick(r, `"0000000000000001"`, `"0000000000000003"`, `""`, `"zz"`)
	case 18:
		return pick(r, "trace:id", "link:traceID") + " " + pick(r, "=", "!=", "=~") + " " + pick(r, `"1"`, `"0001ef0"`, `"1ef0"`, `"2"`)
	}
	return "parent " + eq + " nil"
}

// RandomQuery makes the text of a search.
func RandomQuery(r *rand.Rand) string {
	spanset := func() string { return "{ " + RandomFilter(r, r.Intn(3)) + " }" }
	q := spanset()
	if r.Intn(3) == 0 {
		q = "{ }"
	}
	ops := strings.Fields("&& || > < >> << ~ !> !< !>> !<< !~ &> &< &>> &<< &~")
	for r.Intn(2) == 0 {
		q = fmt.Sprintf("(%s) %s (%s)", q, ops[r.Intn(len(ops))], spanset())
	}
	if r.Intn(6) == 0 {
		q = fmt.Sprintf("(%s | %s) %s (%s)", spanset(), randomScalar(r), ops[r.Intn(len(ops))], spanset())
	}
	for r.Intn(2) == 0 {
		switch r.Intn(6) {
		case 0:
			q += " | by(" + pick(r, ".a", "name", "resource.service.name", "span.b + 1", "status = error", "parent.a") + ")"
		case 1:
			q += " | coalesce()"
		case 2:
			q += " | " + spanset() + " " + ops[r.Intn(len(ops))] + " " + spanset()
		case 3:
			q += " | select(.a)"
		case 4:
			q += " | " + spanset()
		default:
			q += " | " + randomScalar(r)
		}
	}
	return q
}

func randomScalar(r *rand.Rand) string {
	agg := func() string {
		if r.Intn(3) == 0 {
			return "count()"
		}
		return pick(r, "min", "max", "sum", "avg") + "(" + pick(r, "duration", ".a", "span.b", ".a * 2", "span:childCount") + ")"
	}
	op := pick(r, " = ", " != ", " < ", " <= ", " > ", " >= ")
	switch r.Intn(6) {
	case 0:
		return agg() + pick(r, " + ", " - ", " * ", " / ") + agg() + op + pick(r, "0", "2", "1.5")
	case 1:
		return agg() + op + agg()
	case 2:
		return "({ " + RandomFilter(r, 1) + " } | " + agg() + ")" + op + pick(r, "0", "2", "({ } | count())")
	}
	return agg() + op + pick(r, "0", "1", "2", "3", "1.5", "-1", "1ms")
}

// RandomMetrics makes the text of a metrics query with one function.
func RandomMetrics(r *rand.Rand) string {
	q := "{ " + RandomFilter(r, r.Intn(2)) + " }"
	switch r.Intn(4) {
	case 0:
		q = "{ }"
	case 1:
		q += pick(r, " && ", " >> ", " || ") + "{ }"
	}
	at := pick(r, "duration", ".a", "span.b", ".c", "trace:duration")
	switch r.Intn(8) {
	case 0, 1:
		q += " | rate()"
	case 2:
		q += " | count_over_time()"
	case 3:
		q += " | quantile_over_time(" + at + ", " + pick(r, "0", ".5", ".9, .99", "1") + ")"
	case 4:
		q += " | histogram_over_time(" + at + ")"
	default:
		q += " | " + pick(r, "min", "max", "sum", "avg") + "_over_time(" + at + ")"
	}
	if r.Intn(2) == 0 {
		by := []string{pick(r, "resource.service.name", "name", ".a", "span.b", "status", "kind", "rootName", "event.a", "parent.a", "parent.name", "resource.region")}
		if r.Intn(3) == 0 {
			by = append(by, pick(r, "span.svc", "resource.a", "instrumentation:name"))
		}
		q += " by (" + strings.Join(by, ", ") + ")"
	}
	return q
}
