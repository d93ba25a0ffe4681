package control

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// fakeGossip is a member with a fixed state.
type fakeGossip struct {
	admin gossip.Admin
	pairs map[string]gossip.Pair
}

func (g *fakeGossip) Admin() gossip.Admin { return g.admin }
func (g *fakeGossip) ClearHistory()       { g.admin.Received = nil }
func (g *fakeGossip) Raw(key string) (gossip.Pair, bool) {
	p, ok := g.pairs[key]
	return p, ok
}

// furnish fills a stage with rings that show everything a page can show.
func furnish(s *stage) {
	now := s.now.Unix()
	zones := []string{"zone-a", "zone-b", "zone-c"}
	dice := rand.New(rand.NewPCG(1, 2))
	s.editRing("collectors/ring", func(d *ring.Desc) {
		for n := range 9 {
			tokens := ring.RandomTokens(64, nil, dice)
			id := fmt.Sprintf("ingester-%s-%d", zones[n%3], n/3)
			d.Instances[id] = ring.Instance{ID: id, Addr: fmt.Sprintf("10.0.%d.%d:9095", n%3, n), Zone: zones[n%3], State: ring.Active,
				Timestamp: now - int64(n), RegisteredTimestamp: now - 86400*int64(n+1), Tokens: tokens, Versions: map[uint64]uint64{1: 4}}
		}
		edit := func(id string, f func(*ring.Instance)) {
			i := d.Instances[id]
			f(&i)
			d.Instances[id] = i
		}
		edit("ingester-zone-b-1", func(i *ring.Instance) { i.Timestamp = now - 400 })
		edit("ingester-zone-a-2", func(i *ring.Instance) { i.State = ring.Leaving })
		edit("ingester-zone-c-0", func(i *ring.Instance) { i.ReadOnly, i.ReadOnlyUpdatedTimestamp = true, now-3600 })
		edit("ingester-zone-c-2", func(i *ring.Instance) { i.Timestamp = now + 9*365*86400 })
		d.Instances["<b>&ghost"] = ring.Instance{ID: "<b>&ghost", Addr: "nowhere", State: ring.Left, Timestamp: now}
	})
	s.editRing("collectors/live-store", func(d *ring.Desc) {
		for n, z := range []string{"a", "a", "a", "b", "b"} {
			id := fmt.Sprintf("live-store-%s-%d", z, n%3)
			d.Instances[id] = ring.Instance{ID: id, Addr: id + ":9095", Zone: "zone-" + z, Timestamp: now - int64(40*n)}
		}
	})
	s.editPartitions(func(d *partition.Desc) {
		for n, state := range []partition.State{partition.Active, partition.Active, partition.Pending, partition.Inactive} {
			id := int32(n)
			if _, err := partition.AddPartition(d, id, state, s.now.Add(-time.Duration(n*n)*time.Hour)); err != nil {
				s.t.Fatal(err)
			}
		}
		for _, o := range []string{"live-store-a-0", "live-store-a-1", "live-store-b-0", "live-store-b-1", "live-store-a-2"} {
			partition.AddOwner(d, o, int32(o[len(o)-1]-'0'), partition.OwnerActive, s.now.Add(-time.Hour))
		}
		partition.AddOwner(d, "live-store-b-9", 9, partition.OwnerActive, s.now.Add(-time.Hour))
		if _, err := partition.SetLock(d, 1, true, s.now.Add(-time.Minute)); err != nil {
			s.t.Fatal(err)
		}
	})
	s.cfg.Gossip = newFakeGossip(s)
	s.open()
}

func newFakeGossip(s *stage) *fakeGossip {
	d := &ring.Desc{Instances: map[string]ring.Instance{"ingester-0": {ID: "ingester-0", Addr: "10.0.0.1:9095", State: ring.Leaving,
		Timestamp: s.now.Unix(), Tokens: []uint32{1, 2}, Versions: map[uint64]uint64{1: 2}}, "ingester-1": {State: ring.Left, Timestamp: s.now.Unix()}}}
	pd := partition.NewDesc()
	pd.Partitions[3] = partition.Partition{ID: 3, State: partition.Inactive, StateTimestamp: 5, Tokens: []uint32{9}}
	pd.Owners["o-3"] = partition.Owner{OwnedPartition: 3, State: partition.OwnerDeleted, UpdatedTimestamp: 6}
	pair := gossip.Pair{Key: "collectors/ring", Value: ring.EncodeValue(d), Codec: ring.Codec}
	return &fakeGossip{
		admin: gossip.Admin{
			Now: s.now, Self: "tempod-0-1a2b", HealthScore: 1, Queued: 2, QueuedBytes: 345, History: true,
			Members: []gossip.Node{
				{Name: "tempod-1-3c4d", Addr: "[2001:db8::7]:7946", State: gossip.NodeSuspect, Meta: gossip.Meta{Role: gossip.RoleBridge, Zone: "zone-b"}},
				{Name: "tempod-0-1a2b", Addr: "10.0.0.1:7946", PMax: 5, PCur: 2, Meta: gossip.Meta{Role: gossip.RoleMember}},
			},
			Keys: []gossip.KeyInfo{
				{Key: "collectors/livestore-partitions", Codec: partition.Codec, Version: 7, Size: 77, Entries: 2, Tombstones: 1},
				{Key: "collectors/ring", Codec: ring.Codec, Version: 12, Size: 123, Entries: 2, Tombstones: 1, Deleted: true, UpdateTime: s.now},
			},
			Received: []gossip.Message{{ID: 5, At: s.now.Add(-time.Minute), Pair: pair, Version: 12, Changes: []string{"ingester-0", "<i>"}}},
		},
		pairs: map[string]gossip.Pair{
			"collectors/ring":                 pair,
			"collectors/livestore-partitions": {Key: "collectors/livestore-partitions", Value: partition.EncodeValue(pd), Codec: partition.Codec},
			"usagestats_token":                {Key: "usagestats_token", Value: []byte("x"), Codec: "usagestats.jsonCodec"},
			"broken":                          {Key: "broken", Value: []byte("x"), Codec: ring.Codec},
		},
	}
}

func (s *stage) get(path, accept string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	s.http.ServeHTTP(rec, req)
	return rec
}

// TestPages compares whole pages with the ones in testdata/pages.
func TestPages(t *testing.T) {
	for file, get := range map[string][2]string{
		"home.html":            {"/", "text/html"},
		"home.json":            {"/", "application/json"},
		"ring.html":            {"/ingester/ring", "text/html"},
		"ring-tokens.html":     {"/live-store/ring?tokens=true", "text/html"},
		"ring.json":            {"/ingester/ring", "application/json"},
		"partition.html":       {"/partition-ring", "text/html"},
		"partition.json":       {"/partition-ring?format=json", "*/*"},
		"memberlist.html":      {"/memberlist", "text/html"},
		"memberlist.json":      {"/memberlist?format=json", ""},
		"key-pretty.json":      {"/memberlist?viewKey=collectors/ring", ""},
		"key.json":             {"/memberlist?viewKey=collectors/livestore-partitions&format=json", ""},
		"key-struct.txt":       {"/memberlist?viewKey=collectors/ring&format=struct", ""},
		"message.json":         {"/memberlist?viewMsg=5&format=json", ""},
		"key-unknown.json":     {"/memberlist?viewKey=usagestats_token", "application/json"},
		"key-broken.json":      {"/memberlist?viewKey=broken", "application/json"},
		"key-missing.html":     {"/memberlist?viewKey=nothing", "text/html"},
		"api-rings.json":       {"/api/ring/v1/rings", ""},
		"api-ring.json":        {"/api/ring/v1/rings/ingester", ""},
		"api-partitions.json":  {"/api/ring/v1/partition-rings/livestore-partitions", ""},
		"api-partition-3.json": {"/api/ring/v1/partition-rings/collectors%2Flivestore-partitions/partitions/3", ""},
	} {
		t.Run(file, func(t *testing.T) {
			s := newStage(t)
			furnish(s)
			compareGolden(t, filepath.Join("testdata/pages", file), func(string) string {
				body := s.get(get[0], get[1]).Body.String()
				var v any
				if strings.HasSuffix(file, ".json") && json.Unmarshal([]byte(body), &v) == nil {
					v = shorten(v)
					b, err := json.MarshalIndent(v, "", " ")
					if err != nil {
						t.Fatal(err)
					}
					return string(b) + "\n"
				}
				return body
			})
		})
	}
}

// shorten cuts the long token lists in a decoded answer.
func shorten(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = shorten(v[k])
		}
	case []any:
		if _, isNumber := any(nil), len(v) > 4; isNumber {
			if _, ok := v[0].(float64); ok {
				return fmt.Sprintf("%d numbers", len(v))
			}
		}
		for k := range v {
			v[k] = shorten(v[k])
		}
	}
	return v
}

func TestReadOnlyPageHasNoForms(t *testing.T) {
	s := newStage(t)
	furnish(s)
	s.cfg.TokenFile = ""
	s.open()
	for _, path := range []string{"/ingester/ring", "/partition-ring"} {
		if body := s.get(path, "text/html").Body.String(); strings.Contains(body, "<form") || !strings.Contains(body, "Changes over HTTP are off") {
			t.Errorf("%s offers forms although nothing may be changed", path)
		}
	}
}

// TestPagesAreWellFormed reads every page as XML-like markup: names from the ring must not open tags.
func TestPagesAreWellFormed(t *testing.T) {
	s := newStage(t)
	furnish(s)
	s.editRing("collectors/ring", func(d *ring.Desc) {
		evil := `"><script>alert(1)</script>`
		d.Instances[evil] = ring.Instance{ID: evil, Addr: evil, Zone: evil, Timestamp: s.now.Unix()}
	})
	for _, path := range []string{"/ingester/ring", "/ingester/ring?tokens=true", "/live-store/ring", "/partition-ring", "/memberlist"} {
		rec := s.get(path, "text/html")
		if strings.Contains(rec.Body.String(), "<script") {
			t.Errorf("%s: markup from the ring got through", path)
		}
		if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		dec := xml.NewDecoder(rec.Body)
		dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
		}
	}
}

// TestEmptyRings shows pages before anybody has joined: they must say so, and not fail.
func TestEmptyRings(t *testing.T) {
	s := newStage(t)
	for path, want := range map[string]string{"/ingester/ring": "the ring is empty", "/partition-ring": "no partition is ACTIVE"} {
		rec := s.get(path, "text/html")
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d, without %q", path, rec.Code, want)
		}
	}
}

func TestMemberlistDownload(t *testing.T) {
	s := newStage(t)
	furnish(s)
	rec := s.get("/memberlist?downloadKey=collectors/ring", "")
	d, err := ring.DecodeValue(rec.Body.Bytes())
	if err != nil || len(d.Instances) != 2 || d.Instances["ingester-1"].State != ring.Left {
		t.Errorf("download: %v, %+v", err, d)
	}
	if got := rec.Header().Get("Content-Disposition"); got != "attachment; filename=collectors-ring-ringDesc" {
		t.Errorf("file name: %s", got)
	}
	if rec := s.get("/memberlist?deleteMessages=true", ""); rec.Code != http.StatusFound || len(s.cfg.Gossip.Admin().Received) != 0 {
		t.Errorf("clearing messages: %d", rec.Code)
	}
	s.cfg.Gossip = nil
	s.open()
	if got := s.get("/memberlist", "").Body.String(); got != "This instance doesn't use memberlist." {
		t.Errorf("without gossip: %q", got)
	}
}

// TestSectorsCoverTheCircle checks on the drawings that shares add up to one turn and match the ownership.
func TestSectorsCoverTheCircle(t *testing.T) {
	s := newStage(t)
	furnish(s)
	c, err := New(s.cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.rings["ingester"].load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := ringapi.BuildRing(d, c.rings["ingester"].options(true), s.now)
	for _, byShare := range []bool{false, true} {
		for _, zone := range v.Zones {
			var holders []holder
			var want []float64
			for _, i := range v.Instances {
				if i.Zone == zone.Name {
					holders, want = append(holders, holder{tokens: i.Tokens, share: i.Ownership / 100}), append(want, i.Ownership)
				}
			}
			for n, sectors := range sectorsOf(holders, byShare) {
				turn := 0.0
				for _, s := range sectors {
					turn += s.to - s.from
				}
				if math.Abs(turn*100-want[n]) > 0.001 {
					t.Errorf("zone %s, member %d: drawn %.4f %%, owned %.4f %%", zone.Name, n, turn*100, want[n])
				}
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m 1s", 25 * time.Hour: "25h", time.Minute: "1m", 50 * time.Hour: "2d 2h", 80000 * time.Hour: "9 years",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
