package doctor_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the pages under docs/doctor")

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// cluster is a healthy cluster that each case breaks in one way.
type cluster struct {
	ingesters  *ring.Desc
	liveStores *ring.Desc
	partitions *partition.Desc
	nodes      []gossip.Node
	pairs      []gossip.Pair // further ones
	label      string
	deleted    bool
	options    client.Options
}

func healthy(t *testing.T) *cluster {
	c := &cluster{label: "test", ingesters: clienttest.Ring("ingester", 6, 64, now, "a", "b", "c"), liveStores: clienttest.Ring("live-store", 4, 0, now, "a", "b")}
	var err error
	c.partitions, err = clienttest.Partitions(2, now, []string{"live-store-0", "live-store-1"}, []string{"live-store-2", "live-store-3"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		c.nodes = append(c.nodes, gossip.Node{Name: fmt.Sprintf("ingester-%d", n), Addr: fmt.Sprintf("10.0.0.%d:7946", n+1)})
	}
	return c
}

func (c *cluster) snapshot(from string) *client.Snapshot {
	v := &gossip.View{From: from, At: now, Nodes: c.nodes, Pairs: append([]gossip.Pair{
		{Key: "collectors/ring", Codec: ring.Codec, Value: ring.EncodeValue(c.ingesters), Deleted: c.deleted},
		{Key: "collectors/live-store", Codec: ring.Codec, Value: ring.EncodeValue(c.liveStores)},
		{Key: "collectors/livestore-partitions", Codec: partition.Codec, Value: partition.EncodeValue(c.partitions)},
	}, c.pairs...)}
	o := c.options
	o.Label, o.Mode = c.label, client.Observe
	return client.Build(v, o)
}

func (c *cluster) edit(id string, f func(*ring.Instance)) { clienttest.Edit(c.ingesters, id, f) }

func (c *cluster) partition(id int32, f func(*partition.Partition)) {
	p := c.partitions.Partitions[id]
	f(&p)
	c.partitions.Partitions[id] = p
}

// cases has one line for each rule: what breaks, and the subject that is named.
var cases = map[string]struct {
	subject string
	break_  func(*cluster)
}{
	"write-quorum-lost": {"", func(c *cluster) {
		for _, id := range []string{"ingester-0", "ingester-1"} {
			c.edit(id, clienttest.Aged(now, time.Hour))
		}
	}},
	"read-quorum-lost": {"", func(c *cluster) {
		for _, id := range []string{"ingester-0", "ingester-1"} {
			c.edit(id, clienttest.Aged(now, time.Hour))
		}
	}},
	"unhealthy-member": {"ingester-3", func(c *cluster) { c.edit("ingester-3", clienttest.Aged(now, time.Hour)) }},
	"all-unhealthy": {"", func(c *cluster) {
		for id := range c.ingesters.Instances {
			c.edit(id, clienttest.Aged(now, time.Hour))
		}
	}},
	"empty-ring": {"", func(c *cluster) { clear(c.ingesters.Instances) }},
	"zone-restart": {"zone b", func(c *cluster) {
		for _, id := range []string{"ingester-1", "ingester-4"} {
			c.edit(id, clienttest.Aged(now, 330*time.Second))
		}
	}},
	"future-heartbeat": {"ingester-3", func(c *cluster) { c.edit("ingester-3", clienttest.Aged(now, -48*time.Hour)) }},
	"zero-heartbeat":   {"ingester-3", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Timestamp = 0 }) }},
	"clock-skew": {"", func(c *cluster) {
		for id := range c.ingesters.Instances {
			c.edit(id, clienttest.Aged(now, -30*time.Second))
		}
	}},
	"stuck-leaving": {"ingester-3", func(c *cluster) {
		c.edit("ingester-3", func(i *ring.Instance) { i.State, i.Timestamp = ring.Leaving, now.Unix()-3600 })
	}},
	"stuck-joining": {"ingester-3", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.State = ring.Joining }) }},
	"no-tokens":     {"ingester-3", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Tokens = nil }) }},
	"token-count":   {"ingester-3", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Tokens = i.Tokens[:50] }) }},
	"duplicate-tokens": {"ingester-2 and ingester-3", func(c *cluster) {
		c.edit("ingester-3", func(i *ring.Instance) { i.Tokens = c.ingesters.Instances["ingester-2"].Tokens })
	}},
	"duplicate-address": {"10.0.0.3:9095", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Addr = "10.0.0.3:9095" }) }},
	"mixed-zones":       {"", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Zone = "" }) }},
	"zone-imbalance": {"", func(c *cluster) {
		for _, id := range []string{"ingester-1", "ingester-4"} {
			c.edit(id, func(i *ring.Instance) { i.Zone = "a" })
		}
		c.edit("ingester-0", func(i *ring.Instance) { i.Zone = "b" })
		c.options.ReplicationFactor = 2
		c.edit("ingester-2", func(i *ring.Instance) { i.Zone = "a" })
		c.edit("ingester-5", func(i *ring.Instance) { i.Zone = "a" })
	}},
	"too-few-zones": {"", func(c *cluster) {
		yes := true
		c.options.ZoneAware, c.options.ReplicationFactor = &yes, 4
	}},
	"too-few-members":  {"", func(c *cluster) { c.options.ReplicationFactor = 7 }},
	"uneven-ownership": {"", func(c *cluster) { c.edit("ingester-3", func(i *ring.Instance) { i.Tokens = i.Tokens[:4] }) }},
	"old-tombstone": {"ingester-9", func(c *cluster) {
		c.ingesters.Instances["ingester-9"] = ring.Instance{ID: "ingester-9", State: ring.Left, Timestamp: now.Unix() - 3600}
	}},
	"ring-deleted": {"", func(c *cluster) { c.deleted = true }},
	"foreign-keys": {"", func(c *cluster) {
		c.pairs = append(c.pairs, gossip.Pair{Key: "collectors/index-gateway", Codec: ring.Codec, Value: ring.EncodeValue(clienttest.Ring("loki", 1, 1, now))})
	}},
	"unlabelled": {"", func(c *cluster) { c.label = "" }},
	"undecodable": {"", func(c *cluster) {
		c.pairs = append(c.pairs, gossip.Pair{Key: "collectors/compactor", Codec: ring.Codec, Value: []byte("\xff\xff")})
	}},
	"state-bloat": {"", func(c *cluster) {
		c.pairs = append(c.pairs, gossip.Pair{Key: "blob", Codec: "blob", Value: make([]byte, 11<<20)})
	}},
	"gossip-not-alive": {"ingester-5", func(c *cluster) { c.nodes[5].State = gossip.NodeDead }},
	"not-in-gossip":    {"ingester-5", func(c *cluster) { c.nodes = c.nodes[:5] }},
	"no-active-partition": {"", func(c *cluster) {
		for id := range int32(2) {
			c.partition(id, func(p *partition.Partition) { p.State = partition.Inactive })
		}
	}},
	"partition-unowned": {"1", func(c *cluster) {
		for _, id := range []string{"live-store-2", "live-store-3"} {
			clienttest.Edit(c.liveStores, id, clienttest.Aged(now, time.Hour))
		}
	}},
	"partition-inactive-ownerless": {"1", func(c *cluster) {
		c.partition(1, func(p *partition.Partition) { p.State = partition.Inactive })
		delete(c.partitions.Owners, "live-store-2")
		delete(c.partitions.Owners, "live-store-3")
	}},
	"partition-single-owner": {"1", func(c *cluster) { delete(c.partitions.Owners, "live-store-2") }},
	"partition-owner-orphan": {"live-store-9", func(c *cluster) { partition.AddOwner(c.partitions, "live-store-9", 1, partition.OwnerActive, now) }},
	"partition-pending":      {"1", func(c *cluster) { c.partition(1, func(p *partition.Partition) { p.State = partition.Pending }) }},
	"partition-gap": {"2", func(c *cluster) {
		if _, err := partition.AddPartition(c.partitions, 3, partition.Active, now); err != nil {
			panic(err)
		}
	}},
	"partition-locked": {"1", func(c *cluster) {
		c.partition(1, func(p *partition.Partition) {
			p.StateChangeLocked, p.StateChangeLockedTimestamp = true, now.Add(-48*time.Hour).Unix()
		})
	}},
	"owners-in-one-zone": {"1", func(c *cluster) {
		clienttest.Edit(c.liveStores, "live-store-3", func(i *ring.Instance) { i.Zone = "a" })
	}},
}

func TestHealthyClusterHasNoFindings(t *testing.T) {
	for _, f := range doctor.Diagnose([]*client.Snapshot{healthy(t).snapshot("10.0.0.1:7946")}, doctor.Options{}) {
		t.Errorf("%+v", f)
	}
}

func TestEachRule(t *testing.T) {
	for rule, c := range cases {
		t.Run(rule, func(t *testing.T) {
			cl := healthy(t)
			c.break_(cl)
			found := doctor.Diagnose([]*client.Snapshot{cl.snapshot("10.0.0.1:7946")}, doctor.Options{})
			i := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Rule == rule })
			if i < 0 {
				t.Fatalf("not found; instead: %+v", found)
			}
			if f := found[i]; f.Subject != c.subject || f.Cause == "" || f.Doc == "" {
				t.Errorf("%+v, want subject %q", f, c.subject)
			}
		})
	}
}

// TestNewPartitions: one that waits for its owners is no failure, one that has waited for long is. The verdict of the ring and
// the findings say the same.
func TestNewPartitions(t *testing.T) {
	pending := func(age time.Duration, ids ...int32) func(*cluster) {
		return func(c *cluster) {
			for _, id := range ids {
				c.partition(id, func(p *partition.Partition) { p.State, p.StateTimestamp = partition.Pending, now.Add(-age).Unix() })
			}
		}
	}
	added := func(age time.Duration) func(*cluster) {
		return func(c *cluster) {
			if _, err := partition.AddPartition(c.partitions, 2, partition.Pending, now.Add(-age)); err != nil {
				panic(err)
			}
		}
	}
	const fresh, old = client.PendingPatience - time.Second, client.PendingPatience
	for name, c := range map[string]struct {
		break_  func(*cluster)
		verdict client.Verdict
		found   string
	}{
		"one is new":                {pending(fresh, 1), client.OK, ""},
		"one is new, without owner": {added(fresh), client.OK, ""},
		"one is stuck":              {pending(old, 1), client.Warning, "WARNING partition-pending"},
		"one is stuck, unowned":     {added(old), client.Warning, "WARNING partition-pending"},
		"all are new":               {pending(fresh, 0, 1), client.Warning, "WARNING no-active-partition"},
		"all are stuck": {pending(old, 0, 1), client.Critical,
			"CRITICAL no-active-partition, WARNING partition-pending, WARNING partition-pending"},
	} {
		cl := healthy(t)
		c.break_(cl)
		s := cl.snapshot("10.0.0.1:7946")
		var found []string
		for _, f := range doctor.Diagnose([]*client.Snapshot{s}, doctor.Options{}) {
			found = append(found, string(f.Severity)+" "+f.Rule)
		}
		if r := s.PartitionRings[0]; r.Verdict != c.verdict || strings.Join(found, ", ") != c.found {
			t.Errorf("%s: %s (%s), %s; want %s, %s", name, r.Verdict, r.Problem, found, c.verdict, c.found)
		}
	}
}

// TestTempodIsRecognised by the ring of its queriers, which Tempo has not: it leaves partitions without owners out, so that one
// which is drained is no emergency there.
func TestTempodIsRecognised(t *testing.T) {
	for product, want := range map[string]client.Verdict{"tempo": client.Critical, "tempod": client.Warning} {
		c := healthy(t)
		cases["partition-inactive-ownerless"].break_(c)
		if product == "tempod" {
			c.pairs = append(c.pairs, gossip.Pair{Key: "collectors/querier", Codec: ring.Codec, Value: ring.EncodeValue(clienttest.Ring("querier", 1, 0, now, "a"))})
		}
		s := c.snapshot("10.0.0.1:7946")
		r := s.PartitionRings[0]
		if r.Product != product || r.Verdict != want || !slices.Equal(s.Products, []string{product}) {
			t.Errorf("%s: %s of %v is %s: %s", product, r.Product, s.Products, r.Verdict, r.Problem)
		}
		for _, f := range doctor.Diagnose([]*client.Snapshot{s}, doctor.Options{}) {
			if f.Rule == "partition-inactive-ownerless" && f.Severity != want {
				t.Errorf("%s: %+v", product, f)
			}
		}
	}
}

// zoneB stops all of zone b at once in one of the ways in which that happens.
var zoneB = map[string]func(*cluster){
	"killed": func(c *cluster) {
		for _, id := range []string{"ingester-1", "ingester-4"} {
			c.edit(id, clienttest.Aged(now, 330*time.Second))
		}
		for _, id := range []string{"live-store-1", "live-store-3"} {
			clienttest.Edit(c.liveStores, id, clienttest.Aged(now, 330*time.Second))
		}
		c.nodes[1].State, c.nodes[4].State = gossip.NodeSuspect, gossip.NodeDead
	},
	"leaving": func(c *cluster) {
		c.edit("ingester-1", func(i *ring.Instance) { i.State = ring.Leaving })
		c.edit("ingester-4", func(i *ring.Instance) { i.State, i.Tokens, i.Timestamp = ring.Left, nil, now.Unix()-60 })
	},
	"left": func(c *cluster) {
		gone := func(i *ring.Instance) { i.State, i.Tokens, i.Timestamp = ring.Left, nil, now.Unix()-60 }
		for _, id := range []string{"ingester-1", "ingester-4"} {
			c.edit(id, gone)
		}
		for _, id := range []string{"live-store-1", "live-store-3"} {
			clienttest.Edit(c.liveStores, id, gone)
		}
	},
	"coming back": func(c *cluster) {
		c.edit("ingester-1", func(i *ring.Instance) { i.State, i.RegisteredTimestamp = ring.Joining, now.Unix()-20 })
		clienttest.Edit(c.liveStores, "live-store-1", clienttest.Aged(now, 330*time.Second))
	},
}

// TestZoneRestartIsOneFinding: whatever a restart of one zone looks like, it is said once, and nothing that follows from it.
func TestZoneRestartIsOneFinding(t *testing.T) {
	for name, stop := range zoneB {
		c := healthy(t)
		stop(c)
		found := doctor.Diagnose([]*client.Snapshot{c.snapshot("10.0.0.1:7946")}, doctor.Options{Unreached: map[string]error{}})
		if len(found) != 1 || found[0].Rule != "zone-restart" || found[0].Subject != "zone b" || len(found[0].Evidence) == 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestNoRestart: trouble in two zones, trouble that lasts, a lost quorum, and what only looks alike are said one by one.
func TestNoRestart(t *testing.T) {
	cases := map[string]func(*cluster){
		"two zones":         func(c *cluster) { zoneB["killed"](c); c.edit("ingester-0", clienttest.Aged(now, 330*time.Second)) },
		"over ten timeouts": func(c *cluster) { clienttest.Edit(c.liveStores, "live-store-1", clienttest.Aged(now, 7*time.Minute)) },
		"for long":          func(c *cluster) { zoneB["killed"](c); c.edit("ingester-1", clienttest.Aged(now, time.Hour)) },
		"forgotten":         func(c *cluster) { zoneB["left"](c); clear(c.partitions.Owners) },
		"poisoned":          func(c *cluster) { zoneB["killed"](c); c.edit("ingester-0", clienttest.Aged(now, -time.Hour)) },
		"no zones": func(c *cluster) {
			c.edit("ingester-0", func(i *ring.Instance) { i.Zone, i.Timestamp = "", now.Unix()-330 })
		},
		"last owners": func(c *cluster) { zoneB["killed"](c); delete(c.partitions.Owners, "live-store-0") },
	}
	for name, f := range cases {
		c := healthy(t)
		f(c)
		for _, f := range doctor.Diagnose([]*client.Snapshot{c.snapshot("10.0.0.1:7946")}, doctor.Options{}) {
			if f.Rule == "zone-restart" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// TestRestartedUnderAnotherName: a process that was killed and started again leaves its old gossip name behind for a while.
func TestRestartedUnderAnotherName(t *testing.T) {
	c := healthy(t)
	for i := range c.nodes {
		c.nodes[i].Name += "-0123abcd"
	}
	old := gossip.Node{Name: "ingester-2-89ef4567", Addr: "10.0.0.33:7946", State: gossip.NodeDead}
	c.nodes = append(c.nodes, old)
	if found := doctor.Diagnose([]*client.Snapshot{c.snapshot("10.0.0.1:7946")}, doctor.Options{}); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	c.nodes[2].State = gossip.NodeSuspect
	if found := doctor.Diagnose([]*client.Snapshot{c.snapshot("10.0.0.1:7946")}, doctor.Options{}); len(found) != 2 {
		t.Errorf("nobody runs under that name any more: %+v", found)
	}
}

// TestTroubleHasAReason: what makes the verdict of a ring worse than OK is also a finding, because ringctl status points here.
func TestTroubleHasAReason(t *testing.T) {
	for name, c := range cases {
		cl := healthy(t)
		c.break_(cl)
		s := cl.snapshot("10.0.0.1:7946")
		found := doctor.Diagnose([]*client.Snapshot{s}, doctor.Options{})
		if s.Verdict != client.OK && len(found) == 0 {
			t.Errorf("%s: %s %s, and no finding", name, s.Verdict, s.Problem)
		}
	}
}

func TestRulesOnAllViews(t *testing.T) {
	a, b := healthy(t), healthy(t)
	a.nodes, b.nodes = a.nodes[:1], b.nodes[1:2]
	b.edit("ingester-3", clienttest.Aged(now, time.Hour))
	b.edit("ingester-3", func(i *ring.Instance) { i.State = ring.Leaving })
	views := []*client.Snapshot{a.snapshot("10.0.0.1:7946"), b.snapshot("10.0.0.2:7946")}
	found := doctor.Diagnose(views, doctor.Options{Unreached: map[string]error{"ingester-2": errors.New("connection refused")}})
	for _, rule := range []string{"islands", "views-differ", "unreached-member"} {
		if !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Rule == rule }) {
			t.Errorf("%s not found", rule)
		}
	}
	i := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Rule == "stuck-leaving" })
	if i < 0 || !strings.Contains(strings.Join(found[i].Evidence, "\n"), "seen in 1 of 2 views: ingester-1") {
		t.Errorf("a finding of one view does not say so: %+v", found)
	}
}

func TestEveryRuleIsTested(t *testing.T) {
	for _, r := range doctor.Rules() {
		_, tested := cases[r.ID]
		if !tested && r.ID != "islands" && r.ID != "views-differ" && r.ID != "unreached-member" {
			t.Errorf("rule %s has no case", r.ID)
		}
		if r.Title == "" || r.Why == "" || r.Cure == "" {
			t.Errorf("rule %s is not explained", r.ID)
		}
	}
}

// TestPages compares the pages under docs/doctor with the table; -rewrite writes them.
func TestPages(t *testing.T) {
	root := filepath.Join("..", "..")
	index := "# What ringctl doctor looks for\n\nThe rules, with their stable ids. `ringctl doctor -o json` names them in the field `rule`.\n\n| rule | severity | meaning |\n|---|---|---|\n"
	pages := map[string]string{}
	for _, r := range doctor.Rules() {
		index += fmt.Sprintf("| [%s](%s.md) | %s | %s |\n", r.ID, r.ID, r.Severity, r.Title)
		pages[doctor.Page(r.ID)] = fmt.Sprintf("# %s: %s\n\nSeverity: %s\n\n## What it means\n\n%s\n\n## What to do\n\n%s\n", r.ID, r.Title, r.Severity, r.Why, r.Cure)
	}
	pages["docs/doctor/README.md"] = index
	for path, want := range pages {
		file := filepath.Join(root, filepath.FromSlash(path))
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Errorf("%s differs from the table of rules (go test ./client/doctor -rewrite writes it): %v", path, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "docs", "doctor", "*.md"))
	if err != nil || len(files) != len(pages) {
		t.Errorf("%d pages for %d rules and an index: %v", len(files), len(pages)-1, err)
	}
}
