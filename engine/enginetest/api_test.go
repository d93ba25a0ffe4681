package enginetest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// api asks a query frontend.
type api struct {
	base   func() string
	tenant string
}

// ask sends a GET and returns the status and the body.
func (a api) ask(path, accept string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, a.base()+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Scope-OrgID", a.tenant)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// errPartial marks an answer that says that something is missing.
var errPartial = errors.New("the answer is partial")

// trace reads a trace by id.
func (a api) trace(id string) (*otlp.TracesData, error) {
	code, body, err := a.ask("/api/v2/traces/"+id, "application/protobuf")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("trace %s: %d %s", id, code, body)
	}
	var td otlp.TracesData
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		m := protowire.ConsumeFieldValue(num, typ, body[max(n, 0):])
		if n < 0 || m < 0 {
			return nil, fmt.Errorf("trace %s: the answer is no protobuf", id)
		}
		value := body[n : n+m]
		body = body[n+m:]
		switch num {
		case 1:
			raw, _ := protowire.ConsumeBytes(value)
			if err := proto.Unmarshal(raw, &td); err != nil {
				return nil, fmt.Errorf("trace %s: %w", id, err)
			}
		case 4:
			return nil, fmt.Errorf("trace %s: %w: %q", id, errPartial, value)
		}
	}
	return &td, nil
}

// whole is nil when the trace comes back as it was sent, each span once.
func (a api) whole(s sent) error {
	td, err := a.trace(s.id)
	if err != nil {
		return err
	}
	return compare(s, td)
}

func compare(s sent, td *otlp.TracesData) error {
	seen := map[string]bool{}
	for _, rs := range td.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, sp := range ss.Spans {
				id := string(sp.SpanId)
				switch want, ok := s.spans[id]; {
				case !ok:
					return fmt.Errorf("trace %s: span %x was never sent", s.id, id)
				case seen[id]:
					return fmt.Errorf("trace %s: span %x came back twice", s.id, id)
				case !bytes.Equal(want, canonical(rs, ss, sp)):
					var was otlp.ResourceSpans
					if err := proto.Unmarshal(want, &was); err != nil {
						return err
					}
					return fmt.Errorf("trace %s: span %x came back different:\n got %v %v %v %v %v\nwant %v", s.id, id, rs.Resource, rs.SchemaUrl, ss.Scope, ss.SchemaUrl, sp, &was)
				}
				seen[id] = true
			}
		}
	}
	if len(seen) != len(s.spans) {
		return fmt.Errorf("trace %s: %d of %d spans came back", s.id, len(seen), len(s.spans))
	}
	return nil
}

// allWhole finds every trace by id, some at once.
func (a api) allWhole(t testing.TB, all []sent) {
	t.Helper()
	work := make(chan sent)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for range 4 {
		wg.Go(func() {
			for s := range work {
				if err := a.whole(s); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("batch %d: %w", s.batch, err))
					mu.Unlock()
				}
			}
		})
	}
	for _, s := range all {
		work <- s
	}
	close(work)
	wg.Wait()
	for i, err := range errs {
		if i == 5 {
			break
		}
		t.Error(err)
	}
	if len(errs) > 0 {
		t.Fatalf("%d of %d acknowledged traces are not whole", len(errs), len(all))
	}
}

// around is the time range of the traffic of a test.
func around() string {
	now := time.Now()
	return fmt.Sprintf("&start=%d&end=%d", now.Add(-30*time.Minute).Unix(), now.Add(time.Minute).Unix())
}

type searchAnswer struct {
	Traces []struct {
		TraceID string
		SpanSet struct{ Matched int }
	}
	Status, Message string
}

// search runs a search with room for everything.
func (a api) search(q string) (*searchAnswer, error) {
	code, body, err := a.ask("/api/search?limit=100000&q="+url.QueryEscape(q)+around(), "application/json")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("search %s: %d %s", q, code, body)
	}
	var s searchAnswer
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	if s.Status != "" {
		return nil, fmt.Errorf("search %s: %w: %s", q, errPartial, s.Message)
	}
	return &s, nil
}

// allFound is nil when a search for the run finds every trace with all its spans.
func (a api) allFound(run string, all []sent, copies int) error {
	answer, err := a.search(fmt.Sprintf(`{ resource.run = %q }`, run))
	if err != nil {
		return err
	}
	found := map[string]int{}
	for _, t := range answer.Traces {
		id, err := hex.DecodeString(fmt.Sprintf("%032s", t.TraceID))
		if err != nil {
			return err
		}
		if _, twice := found[hex.EncodeToString(id)]; twice {
			return fmt.Errorf("search: trace %s is in the answer twice", t.TraceID)
		}
		found[hex.EncodeToString(id)] = t.SpanSet.Matched
	}
	for _, s := range all {
		if n := found[s.id]; n < len(s.spans) || n > copies*len(s.spans) {
			return fmt.Errorf("search: trace %s of batch %d matched with %d of %d spans (%d traces found, %d sent)", s.id, s.batch, n, len(s.spans), len(found), len(all))
		}
	}
	return nil
}

// counts is the number of spans of each export of a run, by a metrics query.
func (a api) counts(run string) (map[int64]int, error) {
	q := fmt.Sprintf(`{ resource.run = %q } | count_over_time() by (resource.batch)`, run)
	code, body, err := a.ask("/api/metrics/query?q="+url.QueryEscape(q)+around(), "application/json")
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", q, code, body)
	}
	var m struct {
		Series []struct {
			Labels []struct{ Value struct{ IntValue string } }
			Value  float64
		}
		Status, Message string
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w in %s", err, body[:min(len(body), 500)])
	}
	if m.Status != "" {
		return nil, fmt.Errorf("%s: %w: %s", q, errPartial, m.Message)
	}
	out := map[int64]int{}
	for _, s := range m.Series {
		if len(s.Labels) != 1 {
			return nil, fmt.Errorf("%s: a series with labels %v", q, s.Labels)
		}
		batch, err := strconv.ParseInt(s.Labels[0].Value.IntValue, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: label: %w", q, err)
		}
		out[batch] = int(s.Value)
	}
	return out, nil
}

// allCounted is nil when every acknowledged export is counted exactly once, and
// no other more than once.
func (a api) allCounted(tr *traffic) error {
	got, err := a.counts(tr.run)
	if err != nil {
		return err
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for batch, want := range tr.batches {
		if got[batch] != want {
			return fmt.Errorf("metrics: batch %d counts %d spans, %d were acknowledged (%d batches)", batch, got[batch], want, len(tr.batches))
		}
	}
	for batch, n := range got {
		if most := max(tr.batches[batch], tr.doubt[batch]); n > most {
			return fmt.Errorf("metrics: batch %d counts %d spans, only %d were sent", batch, n, most)
		}
	}
	return nil
}

// check compares everything that was acknowledged with what is found by id, by
// search and by counting.
func (tr *traffic) check(base func() string) {
	tr.t.Helper()
	a := api{base, tr.tenant}
	all := tr.acknowledged()
	a.allWhole(tr.t, all)
	if err := a.allFound(tr.run, all, 1); err != nil {
		tr.t.Error(err)
	}
	if err := a.allCounted(tr); err != nil {
		tr.t.Error(err)
	}
}

// checkCopies is check for a cluster in which spans have that many copies:
// nothing may be missing at any time; copies in a block and at a keeper may be
// counted beside each other until all of them are in blocks.
func (tr *traffic) checkCopies(base func() string, copies int) {
	tr.t.Helper()
	a := api{base, tr.tenant}
	all := tr.acknowledged()
	a.allWhole(tr.t, some(all, 600))
	if err := a.allFound(tr.run, all, copies); err != nil {
		tr.t.Error(err)
	}
	until(tr.t, "each span of "+tr.tenant+" is counted once", func() error {
		if err := a.allFound(tr.run, all, 1); err != nil {
			return err
		}
		return a.allCounted(tr)
	})
}

func (tr *traffic) acknowledged() []sent {
	tr.t.Helper()
	all := tr.snapshot()
	if len(all) == 0 {
		tr.t.Fatalf("nothing was acknowledged; last error: %v", tr.lastErr)
	}
	return all
}

func (tr *traffic) snapshot() []sent {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.acked)
}

// some picks about n elements, evenly.
func some(all []sent, n int) []sent {
	step := max(1, len(all)/n)
	var out []sent
	for i := 0; i < len(all); i += step {
		out = append(out, all[i])
	}
	return out
}
