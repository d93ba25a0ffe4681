package enginetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// TestTracesAreSeenWhole sends the spans of one trace for so long that some of them
// rest in blocks of three keepers while others come: all the time, questions about
// the tree of the trace find every span that was acknowledged.
func TestTracesAreSeenWhole(t *testing.T) {
	c := newCluster(t)
	for _, zone := range []string{"a", "b", "c"} {
		c.add("ingester,live-store,querier", "keeper-"+zone+"-0", zone)
	}
	front := c.add("distributor,query-frontend", "front", "a")
	until(t, "the rings are complete", func() error {
		var all error
		for _, n := range c.nodes {
			for _, page := range []string{"/ingester/ring", "/live-store/ring", "/querier/ring"} {
				if n == front && page == "/querier/ring" || n != front && page != "/querier/ring" {
					all = errors.Join(all, ringComplete(n, page, 3))
				}
			}
		}
		return errors.Join(all, ringComplete(front, "/ingester/ring", 3), partitionComplete(front, 3))
	})
	for _, n := range c.nodes {
		n.ready()
	}
	for _, tenant := range []string{byRing, byPartition} {
		t.Run(tenant, func(t *testing.T) {
			t.Parallel()
			growTrace(t, c, front, tenant)
		})
	}
}

// growTrace sends a root and then its children, one at a time, until its keepers
// have shipped a few blocks.
func growTrace(t *testing.T, c *cluster, front *node, tenant string) {
	tr := newTraffic(t, func() string { return front.addr("otlp-http") }, tenant, "grown")
	dice := rand.New(rand.NewPCG(3, 4))
	id := binary.BigEndian.AppendUint64(make([]byte, 8), dice.Uint64())
	root := span(dice, id, nil, 0)
	root.Name = "root"
	send := func(s *otlp.Span) {
		t.Helper()
		if err := tr.deliver(t.Context(), &coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{
			Resource:   &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "cart"), text("run", tr.run)}},
			ScopeSpans: []*otlp.ScopeSpans{{Spans: []*otlp.Span{s}}},
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	send(root)
	children := 0
	grow := func() error {
		send(span(dice, id, root.SpanId, children+1))
		children++
		asked := api{front.http, tenant}
		for q, want := range map[string]int{
			`{ name = "root" && resource.run = "grown" } > { name =~ "step.*" }`: children,
			`{ resource.run = "grown" } | count() = %d`:                          children + 1,
			`{ name =~ "step.*" } < { name = "root" && resource.run = "grown" }`: 1,
			`{ rootName = "root" && resource.run = "grown" }`:                    children + 1,
		} {
			if q == `{ resource.run = "grown" } | count() = %d` {
				q = fmt.Sprintf(q, children+1)
			}
			a, err := asked.search(q)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Traces) != 1 || a.Traces[0].SpanSet.Matched != want {
				t.Fatalf("%d children: %s gave %+v, want %d", children, q, a.Traces, want)
			}
		}
		blocks, err := filepath.Glob(filepath.Join(c.dir, "blocks", tenant, "*", "meta.json"))
		if err != nil || len(blocks) < 4 { // three copies, and one of them again
			return fmt.Errorf("%d blocks (%v)", len(blocks), err)
		}
		return nil
	}
	until(t, "the keepers have shipped", grow)
	if children < 5 {
		t.Errorf("only %d children: nothing was split", children)
	}
}
