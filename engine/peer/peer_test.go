package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// keeperStub remembers what it was asked and answers as told.
type keeperStub struct {
	tenant   string
	otlp     []byte
	question *Question
	answer   *Answer
	err      error
}

func (k *keeperStub) Push(_ context.Context, tenantID string, otlp []byte) error {
	k.tenant, k.otlp = tenantID, otlp
	return k.err
}

func (k *keeperStub) Ask(_ context.Context, q *Question) (*Answer, error) {
	k.question = q
	return k.answer, k.err
}

type querierStub struct {
	piece  *Piece
	answer *Answer
}

func (q *querierStub) Answer(_ context.Context, p *Piece) (*Answer, error) {
	q.piece = p
	return q.answer, nil
}

// serve offers parts on loopback and returns a client of another process.
func serve(t *testing.T, keepers map[Role]Keeper, querier Answerer) (c *Client, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there := NewClient(nil)
	there.Serve(l.Addr().String(), keepers, querier)
	srv := grpc.NewServer(ServerOptions()...)
	Register(srv, there)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	c = NewClient(nil)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, l.Addr().String()
}

// questions are one of each kind, with every field set.
func questions() map[string]Question {
	id := trace.ID{1, 2, 3}
	base := Question{Tenant: "team-a", Without: []string{"b1", "b2"}}
	with := func(change func(*Question)) Question {
		q := base
		change(&q)
		return q
	}
	tokens := []query.TokenRange{{First: 0, Last: 5}, {First: 9, Last: ^uint32(0)}}
	return map[string]Question{
		"trace": with(func(q *Question) { q.Trace = &id }),
		"search": with(func(q *Question) {
			q.Search = &query.SearchRequest{Query: "{ .a = \"ü\" }", Start: 1, End: 1 << 60, Limit: 7, SpansPerSet: 3, Tenant: "team-a", Tokens: tokens, IDs: query.DivideIDs(3)[1]}
		}),
		"whole": with(func(q *Question) {
			q.Search = &query.SearchRequest{Query: "{ } >> { }"}
			q.Whole, q.Young, q.Border = true, []string{"b3"}, []string{"b4", "b5"}
		}),
		"metrics": with(func(q *Question) {
			q.Metrics = &query.MetricsRequest{Query: "{} | rate()", Start: -1, End: 1<<62 + 1, Step: 15e9, Instant: true, Exemplars: 4, MaxSeries: 9, Tokens: tokens}
		}),
		"tags":   with(func(q *Question) { q.Tags = &query.TagsRequest{Query: "{}", Limit: 2, MaxBytes: 3} }),
		"values": with(func(q *Question) { q.Values = &query.TagValuesRequest{Tag: "span.a", Query: "{}", Limit: 2} }),
	}
}

// filled is an answer to a question that is not empty.
func filled(q Question) *Answer {
	a := q.Nothing()
	a.Missing = []string{"block b7: gone"}
	switch {
	case q.Search != nil:
		a.Search.Traces = []query.TraceResult{{ID: trace.ID{9}, HasRoot: true, RootService: "cart", RootName: "GET /", Start: 5, End: 9, Sets: []query.SpanSet{{Matched: 3}}}}
	case q.Metrics != nil:
		a.Metrics.Steps, a.Metrics.Step = 1, 15e9
	case q.Trace != nil:
		a.Trace = []byte("otlp")
	}
	return a
}

func TestQuestionsAndAnswersCrossTheWire(t *testing.T) {
	for name, q := range questions() {
		t.Run(name, func(t *testing.T) {
			k, z := &keeperStub{answer: filled(q)}, &querierStub{answer: filled(q)}
			c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_INGESTER: k}, z)
			got, err := c.Ask(t.Context(), addr, peerpb.Role_ROLE_INGESTER, &q)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*k.question, q) {
				t.Errorf("asked %+v, want %+v", *k.question, q)
			}
			same(t, got, filled(q))
			p := Piece{Question: q, Recent: true, Blocks: []string{"b3"}}
			if got, err = c.Answer(t.Context(), addr, &p); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*z.piece, p) {
				t.Errorf("asked %+v, want %+v", *z.piece, p)
			}
			same(t, got, filled(q))
		})
	}
}

// same compares answers by their form on the wire.
func same(t *testing.T, got, want *Answer) {
	t.Helper()
	g, err := got.reply()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.reply()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.Answer, w.Answer) || !reflect.DeepEqual(g.Missing, w.Missing) {
		t.Errorf("got %q, want %q", g, w)
	}
}

func TestPushCrossesTheWire(t *testing.T) {
	k := &keeperStub{}
	c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_LIVE_STORE: k}, nil)
	if err := c.Push(t.Context(), addr, peerpb.Role_ROLE_LIVE_STORE, "team-a", []byte("spans")); err != nil || k.tenant != "team-a" || string(k.otlp) != "spans" {
		t.Errorf("%v, %q %q", err, k.tenant, k.otlp)
	}
}

// fullError is the shape of a store's refusal.
type fullError struct{}

func (fullError) Error() string          { return "no room" }
func (fullError) RetryIn() time.Duration { return 3 * time.Second }

func TestErrorsKeepTheirCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code codes.Code
		says string
	}{
		{PushError(fmt.Errorf("push: %w", fullError{})), codes.ResourceExhausted, "no room"},
		{PushError(fmt.Errorf("wal: %w", syscall.ENOSPC)), codes.ResourceExhausted, "make space"},
		{PushError(context.DeadlineExceeded), codes.DeadlineExceeded, ""},
		{PushError(errors.New("disk on fire")), codes.Unavailable, "on fire"},
		{PushError(status.Error(codes.FailedPrecondition, "left")), codes.FailedPrecondition, "left"},
	} {
		c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_INGESTER: &keeperStub{err: tt.err}}, nil)
		err := c.Push(t.Context(), addr, peerpb.Role_ROLE_INGESTER, "x", nil)
		if status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v came back as %v", tt.err, err)
		}
		if tt.code == codes.ResourceExhausted && tt.says == "no room" {
			info, ok := status.Convert(err).Details()[0].(*errdetails.RetryInfo)
			if !ok || info.GetRetryDelay().AsDuration() != 3*time.Second {
				t.Errorf("retry info = %v", status.Convert(err).Details())
			}
		}
	}
	if PushError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestWrongPlaces(t *testing.T) {
	c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_INGESTER: &keeperStub{}}, nil)
	q := Question{Search: &query.SearchRequest{}}
	if _, err := c.Ask(t.Context(), addr, peerpb.Role_ROLE_LIVE_STORE, &q); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "LIVE_STORE") {
		t.Errorf("another role: %v", err)
	}
	if _, err := c.Answer(t.Context(), addr, &Piece{Question: q}); status.Code(err) != codes.Unimplemented {
		t.Errorf("no querier: %v", err)
	}
	if _, err := c.Ask(t.Context(), addr, peerpb.Role_ROLE_INGESTER, &Question{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no question: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Push(t.Context(), gone, peerpb.Role_ROLE_INGESTER, "x", nil); status.Code(err) != codes.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}

func TestOwnAddressStaysInTheProcess(t *testing.T) {
	k := &keeperStub{answer: &Answer{}}
	c := NewClient(nil)
	c.Serve("10.0.0.1:9095", map[Role]Keeper{peerpb.Role_ROLE_INGESTER: k}, nil)
	otlp := []byte("spans")
	if err := c.Push(t.Context(), "10.0.0.1:9095", peerpb.Role_ROLE_INGESTER, "x", otlp); err != nil || &k.otlp[0] != &otlp[0] {
		t.Errorf("%v, copied %v", err, &k.otlp[0] != &otlp[0])
	}
	if !c.Local("10.0.0.1:9095") || c.Local("10.0.0.2:9095") || NewClient(nil).Local("") {
		t.Error("Local is wrong")
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_INGESTER: &keeperStub{}}, nil)
	push := func() error { return c.Push(t.Context(), addr, peerpb.Role_ROLE_INGESTER, "x", nil) }
	if err := push(); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseIdle(time.Now().Add(-time.Minute)); err != nil || len(c.conns) != 1 {
		t.Errorf("%v, %d connections left of 1 in use", err, len(c.conns))
	}
	if err := c.CloseIdle(time.Now().Add(time.Minute)); err != nil || len(c.conns) != 0 {
		t.Errorf("%v, %d connections left", err, len(c.conns))
	}
	if err := push(); err != nil {
		t.Errorf("after closing: %v", err)
	}
}

// FuzzQuestion reads questions as they come off the wire.
func FuzzQuestion(f *testing.F) {
	for _, q := range questions() {
		r, err := q.request(peerpb.Role_ROLE_INGESTER)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(0, r.GetTraceId())
		f.Add(1, r.GetSearch())
		f.Add(2, r.GetMetrics())
		f.Add(3, r.GetTags())
		f.Add(4, r.GetTagValues())
	}
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		r := &peerpb.AskRequest{Tenant: "x"}
		switch kind {
		case 0:
			r.Question = &peerpb.AskRequest_TraceId{TraceId: b}
		case 1:
			r.Question = &peerpb.AskRequest_Search{Search: b}
		case 2:
			r.Question = &peerpb.AskRequest_Metrics{Metrics: b}
		case 3:
			r.Question = &peerpb.AskRequest_Tags{Tags: b}
		default:
			r.Question = &peerpb.AskRequest_TagValues{TagValues: b}
		}
		q, err := parseRequest(r)
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("code of %v", err)
			}
			return
		}
		if _, err := Evaluate(t.Context(), &q, nil, 1); err != nil && status.Code(err) == codes.OK {
			t.Errorf("no code: %v", err)
		}
		again, err := q.request(peerpb.Role_ROLE_INGESTER)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseRequest(again); err != nil || !reflect.DeepEqual(back, q) {
			t.Errorf("%+v became %+v, %v", q, back, err)
		}
	})
}

// FuzzReply reads answers as they come off the wire and merges them.
func FuzzReply(f *testing.F) {
	kinds := []string{"trace", "search", "metrics", "tags", "values"}
	for i, name := range kinds {
		r, err := filled(questions()[name]).reply()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, r.GetAnswer())
	}
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		q := questions()[kinds[uint(kind)%uint(len(kinds))]]
		a, err := q.parseReply(&peerpb.AskReply{Answer: b})
		if err != nil {
			return
		}
		other, err := q.parseReply(&peerpb.AskReply{Answer: b})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Merge(t.Context(), a, other, true); err != nil && q.Trace == nil {
			t.Errorf("merge: %v", err)
		}
		if _, err := a.reply(); err != nil {
			t.Errorf("encode: %v", err)
		}
	})
}
