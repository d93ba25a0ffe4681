package gen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// role is what a span does; each has its own attributes.
type role int

const (
	server role = iota
	httpClient
	dbClient
	internal
	producer
	consumer
)

// kinds are the OTLP span kinds of the roles.
var kinds = [...]uint64{server: 2, httpClient: 3, dbClient: 3, internal: 1, producer: 4, consumer: 5}

var services = [...]struct {
	name string
	ops  [2]string // method and route
}{
	{"frontend", [2]string{"GET /", "POST /checkout"}},
	{"api-gateway", [2]string{"GET /api/v1/products/{id}", "POST /api/v1/orders"}},
	{"auth", [2]string{"POST /auth/token", "GET /auth/verify"}},
	{"cart", [2]string{"GET /cart/{userId}", "POST /cart/{userId}/items"}},
	{"checkout", [2]string{"POST /checkout/place", "GET /checkout/quote"}},
	{"payment", [2]string{"POST /payment/charge", "POST /payment/refund"}},
	{"catalog", [2]string{"GET /catalog/items/{id}", "GET /catalog/list"}},
	{"search", [2]string{"GET /search", "POST /search/index"}},
	{"recommendation", [2]string{"GET /recommend/{userId}", "POST /recommend/feedback"}},
	{"inventory", [2]string{"GET /inventory/{sku}", "POST /inventory/reserve"}},
	{"shipping", [2]string{"POST /shipping/quote", "POST /shipping/ship"}},
	{"email", [2]string{"POST /email/send", "GET /email/template/{name}"}},
	{"currency", [2]string{"GET /currency/convert", "GET /currency/list"}},
	{"ads", [2]string{"GET /ads", "POST /ads/click"}},
	{"users", [2]string{"GET /users/{id}", "PUT /users/{id}"}},
	{"orders", [2]string{"GET /orders/{id}", "POST /orders"}},
	{"pricing", [2]string{"GET /pricing/{sku}", "POST /pricing/batch"}},
	{"fraud", [2]string{"POST /fraud/score", "GET /fraud/rules"}},
	{"reviews", [2]string{"GET /reviews/{id}", "POST /reviews"}},
	{"notifications", [2]string{"POST /notify", "GET /notify/status/{id}"}},
}

const (
	frontend = 0
	cart     = 3
	orders   = 15
	users    = 1_000_000
)

// operation is a node of the call graph.
type operation struct {
	service       int
	method, route string
	median        float64 // own time, ms
	calls         []int
	store         string // database behind it
}

// span is a node of a trace.
type span struct {
	parent   int // in the trace; -1 for the root
	role     role
	op       int
	service  int
	pod      int
	id       uint64
	start    int64 // ns since the start of the file's window
	duration int64
	status   int // HTTP
	failed   bool
	children int64 // their durations together
	kids     int64
	next     int64 // where the next child starts
}

// model makes traces.
type model struct {
	r         *rand.Rand
	ops       []operation
	pods      [][]resource // by service
	agents    []string
	stack     string
	traces    int
	previous  [16]byte
	truth     *Truth
	scratch   []byte
	scratch2  []byte
	resources []resource
}

func newModel(seed uint64, truth *Truth) *model {
	m := &model{r: rand.New(rand.NewPCG(seed, 0x5eed)), truth: truth}
	graph := rand.New(rand.NewPCG(20, 2)) // the shop is always the same
	stores := []string{"postgresql", "postgresql", "postgresql", "redis", "redis", "mongodb"}
	for s := range services {
		for _, name := range services[s].ops {
			o := operation{service: s, median: 1 + 12*graph.Float64(), store: stores[graph.IntN(len(stores))]}
			for i := range name {
				if name[i] == ' ' {
					o.method, o.route = name[:i], name[i+1:]
				}
			}
			m.ops = append(m.ops, o)
		}
	}
	for i := range m.ops {
		for range 2 + graph.IntN(4) {
			if c := 2 + graph.IntN(len(m.ops)-2); m.ops[c].service != m.ops[i].service {
				m.ops[i].calls = append(m.ops[i].calls, c)
			}
		}
		if len(m.ops[i].calls) == 0 {
			m.ops[i].calls = []int{(i + 7) % len(m.ops)}
		}
	}
	for i := range 24 {
		m.agents = append(m.agents, fmt.Sprintf("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36", 100+i, 4000+i*13, 50+i))
	}
	for i := range 9 {
		m.stack += fmt.Sprintf("\tat com.example.shop.module%d.Handler$%d.invoke(Handler.java:%d)\n", i, i*3, 100+i*17)
	}
	m.makePods()
	return m
}

func (m *model) logNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*m.r.NormFloat64())
}

// tree grows a trace: a parent that is likely to be near the root gets a call, a
// message, a query or a piece of work.
func (m *model) tree() []span {
	want := min(max(int(m.logNormal(15, 0.6)), 5), 50)
	rootOps := []int{0, 0, 0, 1, 2, 2, 3}
	var t []span
	add := func(parent int, r role, op, service, pod int) int {
		t = append(t, span{parent: parent, role: r, op: op, service: service, pod: pod, id: m.r.Uint64() | 1})
		return len(t) - 1
	}
	at := func(op int) (service, pod int) {
		s := m.ops[op].service
		return s, m.r.IntN(len(m.pods[s]))
	}
	root := rootOps[m.r.IntN(len(rootOps))]
	s, p := at(root)
	parents := []int{add(-1, server, root, s, p)}
	for len(t) < want {
		pi := parents[int(float64(len(parents))*math.Pow(m.r.Float64(), 1.3))]
		by := t[pi]
		callees := m.ops[by.op].calls
		switch x := m.r.Float64(); {
		case x < 0.47 && len(t)+2 <= want:
			from, to := httpClient, server
			if x > 0.42 {
				from, to = producer, consumer
			}
			callee := callees[m.r.IntN(len(callees))]
			call := add(pi, from, callee, by.service, by.pod)
			s, p := at(callee)
			parents = append(parents, add(call, to, callee, s, p))
		case x < 0.78:
			add(pi, dbClient, by.op, by.service, by.pod)
		default:
			w := add(pi, internal, by.op, by.service, by.pod)
			if m.r.IntN(3) == 0 {
				parents = append(parents, w)
			}
		}
	}
	return t
}

// times gives each span its own time and that of its children, one after the
// other, and a result.
func (m *model) times(t []span, start int64) {
	for i := range slices.Backward(t) {
		s := &t[i]
		own := 0.0
		switch s.role {
		case httpClient, producer:
			own = m.logNormal(0.6, 0.5)
		case dbClient:
			own = m.logNormal(2.5, 1.1)
		case internal:
			own = m.logNormal(0.8, 1)
		default:
			own = m.logNormal(m.ops[s.op].median, 0.9)
		}
		if m.r.IntN(400) == 0 {
			own *= 40
		}
		s.duration = int64(own*1e6) + s.children
		if s.parent >= 0 {
			t[s.parent].children += s.duration
			t[s.parent].kids++
		}
		s.status = 200
		switch x := m.r.Float64(); {
		case x < 0.008:
			s.status, s.failed = 500, true
		case x < 0.011:
			s.status, s.failed = 503, true
		case x < 0.03:
			s.status = 404
		case x < 0.05:
			s.status = 201
		case x < 0.06:
			s.status = 302
		}
	}
	t[0].start = start
	for i := range t {
		s := &t[i]
		gap := (s.duration - s.children) / (s.kids + 1)
		if s.parent >= 0 {
			p := &t[s.parent]
			s.start = p.next
			p.next += s.duration + (p.duration-p.children)/(p.kids+1)
		}
		s.next = s.start + gap
	}
}
