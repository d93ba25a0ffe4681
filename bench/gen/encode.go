package gen

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// resource is a pod, encoded.
type resource struct {
	no          int
	body, scope []byte // Resource and InstrumentationScope messages
}

// encoded is a span on its way into a request.
type encoded struct {
	resource int
	body     []byte   // Span message
	times    []uint32 // offsets of the timestamps in it
}

func text(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func message(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func number(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

// attr appends a KeyValue with a string, int, bool or double.
func attr(b []byte, field protowire.Number, key string, value any) []byte {
	var v [64]byte
	av := v[:0]
	switch x := value.(type) {
	case string:
		av = text(av, 1, x)
	case int:
		av = number(av, 3, uint64(x))
	case bool:
		av = number(av, 2, protowire.EncodeBool(x))
	case float64:
		av = protowire.AppendFixed64(protowire.AppendTag(av, 4, protowire.Fixed64Type), math.Float64bits(x))
	}
	n := protowire.SizeTag(1) + protowire.SizeBytes(len(key)) + protowire.SizeTag(2) + protowire.SizeBytes(len(av))
	b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
	return message(text(b, 1, key), 2, av)
}

// attrs appends pairs of key and value.
func attrs(b []byte, field protowire.Number, pairs ...any) []byte {
	for i := 0; i < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		b = attr(b, field, key, pairs[i+1])
	}
	return b
}

func pick[T any](list []T, i int) T { return list[i%len(list)] }

// makePods encodes the resources.
func (m *model) makePods() {
	languages := []string{"go", "java", "nodejs", "python"}
	libraries := []string{"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "io.opentelemetry.spring-webmvc-6.0",
		"@opentelemetry/instrumentation-http", "opentelemetry.instrumentation.flask"}
	versions := []string{"0.57.0", "2.10.0-alpha", "0.55.0", "0.50b0"}
	regions := []string{"eu-west-1", "us-east-1", "us-west-2"}
	for s := range services {
		name := services[s].name
		var pods []resource
		for p := range 3 + s%5 {
			host := fmt.Sprintf("ip-10-0-%d-%d", p, 10+(s*3+p)%16)
			r := resource{no: len(m.resources)}
			r.body = attrs(nil, 1, "service.name", name, "service.version", fmt.Sprintf("1.%d.%d", s%7, p%2), "service.namespace", "shop",
				"service.instance.id", fmt.Sprintf("%08x-0000-4000-8000-%012x", s*7919+p, s*104729+p), "deployment.environment", "production",
				"k8s.cluster.name", "prod-eu-1", "k8s.namespace.name", "shop-"+pick([]string{"core", "edge", "data"}, s), "k8s.deployment.name", name,
				"k8s.pod.name", fmt.Sprintf("%s-%07x-%05x", name, (s*16+p+1)*0x9e3779b%(1<<28), (s*131+p*7919)&0xfffff),
				"k8s.pod.uid", fmt.Sprintf("%08x-1111-4222-8333-%012x", s*31+p, s*1299709+p), "k8s.node.name", host+".ec2.internal",
				"k8s.container.name", name, "cloud.provider", "aws", "cloud.region", pick(regions, s),
				"cloud.availability_zone", pick(regions, s)+string(rune('a'+p%3)), "host.name", host,
				"telemetry.sdk.language", pick(languages, s), "telemetry.sdk.name", "opentelemetry", "telemetry.sdk.version", "1.32.0", "process.pid", 1+p)
			r.scope = text(text(nil, 1, pick(libraries, s)), 2, pick(versions, s))
			m.resources = append(m.resources, r)
			pods = append(pods, r)
		}
		m.pods = append(m.pods, pods)
	}
}

// facts are what the spans of one trace share.
type facts struct {
	id               [16]byte
	user, sku, order int
	userID           string
}

// trace makes the spans of the next trace, in the order of a walk from the root.
func (m *model) trace(start int64) (id [16]byte, out []encoded) {
	f := facts{user: int(float64(users) * math.Pow(m.r.Float64(), 1.6)), sku: m.r.IntN(50_000), order: m.r.IntN(2_000_000)}
	binary.LittleEndian.PutUint64(f.id[:], m.r.Uint64())
	binary.LittleEndian.PutUint64(f.id[8:], m.r.Uint64())
	f.userID = fmt.Sprintf("user-%07d", f.user)
	t := m.tree()
	m.times(t, start)
	for i := range t {
		out = append(out, m.encode(&f, t, i))
	}
	m.truth.count(m, &f, t)
	m.previous = f.id
	m.traces++
	return f.id, out
}

// encode makes span i of a trace.
func (m *model) encode(f *facts, t []span, i int) encoded {
	s := &t[i]
	e := encoded{resource: m.pods[s.service][s.pod].no}
	b := message(make([]byte, 0, 640), 1, f.id[:])
	b = message(b, 2, binary.LittleEndian.AppendUint64(nil, s.id))
	if s.parent >= 0 {
		b = message(b, 4, binary.LittleEndian.AppendUint64(nil, t[s.parent].id))
	}
	stamp := func(b []byte, field protowire.Number, at int64) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), uint64(at))
	}
	name, pairs := m.describe(f, s, i)
	b = number(text(b, 5, name), 6, kinds[s.role])
	b = stamp(b, 7, s.start)
	e.times = append(e.times, uint32(len(b)-8))
	b = stamp(b, 8, s.start+s.duration)
	e.times = append(e.times, uint32(len(b)-8))
	b = attrs(b, 9, pairs...)
	event := func(at int64, name string, pairs ...any) {
		ev := attrs(text(stamp(m.scratch[:0], 1, at), 2, name), 3, pairs...)
		b = message(b, 11, ev)
		e.times = append(e.times, uint32(len(b)-len(ev)+1))
		m.scratch = ev
	}
	switch {
	case s.failed:
		kind := pick([]string{"java.lang.NullPointerException", "TimeoutError", "io.grpc.StatusRuntimeException", "ConnectionRefusedError", "ValidationError"}, m.r.IntN(5))
		why := fmt.Sprintf("upstream %s failed: deadline exceeded after %dms (order %d)", services[m.ops[s.op].service].name, s.duration/1e6, f.order)
		event(s.start+s.duration/2, "exception", "exception.type", kind, "exception.message", why, "exception.stacktrace", kind+": "+why+"\n"+m.stack)
	case m.r.IntN(14) == 0:
		event(s.start+s.duration/3, "cache.miss", "cache.key", fmt.Sprintf("item:%d", f.sku))
	}
	if s.role == consumer && m.traces > 0 {
		link := message(message(m.scratch[:0], 1, m.previous[:]), 2, []byte{1, 2, 3, 4, 5, 6, 7, byte(i)})
		m.scratch = attr(link, 4, "link.kind", "follows_from")
		b = message(b, 13, m.scratch)
	}
	switch {
	case s.failed:
		b = message(b, 15, number(text(nil, 2, "upstream failure"), 3, 2))
	case s.role == server && m.r.IntN(10) == 0:
		b = message(b, 15, number(nil, 3, 1))
	}
	b = protowire.AppendFixed32(protowire.AppendTag(b, 16, protowire.Fixed32Type), 0x101)
	e.body = b
	return e
}

// url is what a server or its client sees.
func (m *model) url(f *facts, s *span) string {
	o := &m.ops[s.op]
	switch {
	case o.service == orders || s.op == 3:
		return fmt.Sprintf("/orders/%d", f.order)
	case s.op%3 == 0:
		return fmt.Sprintf("%s?sku=%d", o.route, f.sku)
	case s.op%3 == 1:
		return fmt.Sprintf("%s?u=%d&page=%d", o.route, f.user, m.r.IntN(40))
	}
	return o.route
}

// describe gives a span its name and attributes, by its role.
func (m *model) describe(f *facts, s *span, i int) (name string, pairs []any) {
	o := &m.ops[s.op]
	own, callee := services[s.service].name, services[o.service].name
	host := callee + ".shop.svc.cluster.local"
	switch s.role {
	case server:
		url := m.url(f, s)
		return o.method + " " + o.route, []any{"http.method", o.method, "http.status_code", s.status, "http.url", "http://" + host + ":8080" + url,
			"http.route", o.route, "http.scheme", "http", "http.flavor", "1.1", "net.host.name", host, "net.host.port", 8080, "http.target", url,
			"user.id", f.userID, "http.user_agent", pick(m.agents, f.user*7+i), "net.peer.ip", fmt.Sprintf("10.%d.%d.%d", m.r.IntN(4), m.r.IntN(256), m.r.IntN(256)),
			"net.peer.port", 30000 + m.r.IntN(30000), "http.response_content_length", m.r.IntN(100_000),
			"session.id", fmt.Sprintf("%016x", uint64(f.user)*0x9e3779b97f4a7c15^uint64(m.traces/7))}
	case httpClient:
		return "HTTP " + o.method, []any{"http.method", o.method, "http.status_code", s.status, "http.url", "http://" + host + ":8080" + m.url(f, s),
			"net.peer.name", host, "net.peer.port", 8080}
	case dbClient:
		name, statement := m.query(f, own, o.store)
		port := map[string]int{"postgresql": 5432, "redis": 6379, "mongodb": 27017}[o.store]
		verb := name[:len(name)-len(own)-1]
		return name, []any{"db.system", o.store, "db.name", own + "_db", "db.operation", verb, "db.statement", statement,
			"net.peer.name", fmt.Sprintf("%s-db-%d.internal", own, s.pod%2), "net.peer.port", port, "db.rows", m.r.IntN(50)}
	case internal:
		name := pick([]string{"validate", "serialize", "deserialize", "lookup", "render", "transform", "merge", "computeTotals", "applyRules", "loadConfig"}, m.r.IntN(10))
		pairs := []any{"code.function", name, "code.namespace", "com.example.shop." + own, "thread.id", m.r.IntN(64),
			"thread.name", fmt.Sprintf("worker-%d", m.r.IntN(64)), "cache.hit", m.r.IntN(4) != 0}
		if m.r.IntN(3) == 0 {
			pairs = append(pairs, "score", math.Round(m.r.Float64()*1000)/1000)
		}
		return name, pairs
	case producer, consumer:
	}
	verb := " publish"
	if s.role == consumer {
		verb = " process"
	}
	return callee + ".events" + verb, []any{"messaging.system", "kafka", "messaging.destination.name", callee + ".events",
		"messaging.kafka.partition", m.r.IntN(12), "messaging.kafka.offset", m.traces*3 + i, "messaging.message.id", fmt.Sprintf("%016x", m.r.Uint64())}
}

// query is a database call: the span's name and the statement.
func (m *model) query(f *facts, own, store string) (name, statement string) {
	if store == "redis" {
		verb := pick([]string{"GET", "SET", "HGETALL"}, m.r.IntN(3))
		return verb + " " + own, fmt.Sprintf("%s sess:%d", verb, f.user)
	}
	switch verb := pick([]string{"SELECT", "SELECT", "SELECT", "INSERT", "UPDATE"}, m.r.IntN(5)); verb {
	case "SELECT":
		return verb + " " + own, fmt.Sprintf("SELECT id, name, price, qty, updated_at FROM %s_items WHERE tenant_id = $1 AND sku = '%d' ORDER BY updated_at DESC LIMIT 50", own, f.sku)
	case "INSERT":
		return verb + " " + own, fmt.Sprintf("INSERT INTO %s_events (id, user_id, kind, payload) VALUES ($1, '%s', $2, $3) RETURNING id", own, f.userID)
	default:
		return verb + " " + own, fmt.Sprintf("UPDATE %s_items SET qty = qty - $1, updated_at = now() WHERE order_id = %d", own, f.order)
	}
}
