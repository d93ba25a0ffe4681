package block_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/block/pq"
	"github.com/ringctl/ringctl/engine/bucket/local"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// seen is what another reader must see in a block.
type seen struct {
	Spans    int            `json:"spans"`
	Traces   int            `json:"traces"`
	Duration string         `json:"duration"`
	PerTrace string         `json:"perTrace"`
	Roots    int            `json:"roots"`
	Loose    int            `json:"loose"`
	Services map[string]int `json:"services"`
	Scopes   map[string]int `json:"scopes"`
	Status   string         `json:"status"`
	Users    int            `json:"users"`
	Ones     int            `json:"ones"`
	Hot      int            `json:"hot"`
	Score    float64        `json:"score"`
	Overflow string         `json:"overflow"`
	Keys     map[string]int `json:"keys"`
	Children int            `json:"children"`
	// Of the array columns: rows and values, and what these are.
	Tagged   int            `json:"tagged"`
	Tags     map[string]int `json:"tags"`
	Ports    string         `json:"ports"`
	Ratios   float64        `json:"ratios"`
	Turns    int            `json:"turns"`
	Types    string         `json:"types"`
	UserTags map[string]int `json:"userTags"`
}

func field(num int, v []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(num)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// example is columns in the making and what is in them.
type example struct {
	*block.Columns
	rng                                *rand.Rand
	w                                  *seen
	names, users, events, keys, values pq.Interner
	user, status, hot, score, rare     block.AttrColumn
	tags, ports, ratios, turns, group  block.AttrColumn
	words                              pq.Interner
	durations, statuses, portSum       int64
	parents                            map[uint32]int64
}

// exampleColumns makes n spans with every kind of column, and what is in them.
func exampleColumns(n int) (*block.Columns, *seen) {
	e := &example{Columns: &block.Columns{Rows: n}, rng: rand.New(rand.NewPCG(5, 5)), parents: map[uint32]int64{},
		w: &seen{Services: map[string]int{}, Scopes: map[string]int{}, Keys: map[string]int{}, Spans: n,
			Tags: map[string]int{}, UserTags: map[string]int{}, Types: "bigint[] boolean[] double[] varchar[] varchar[]"}}
	e.user.Attr, e.status.Attr = block.Attr{Key: "user", Type: columnar.String}, block.Attr{Key: "http.status_code", Type: columnar.Int}
	e.hot.Attr, e.score.Attr = block.Attr{Key: "hot", Type: columnar.Bool}, block.Attr{Key: "score", Type: columnar.Float}
	e.rare.Attr = block.Attr{Key: "user", Type: columnar.Int}
	e.tags.Attr, e.ports.Attr = block.Attr{Key: "tags", Type: columnar.String | columnar.Array}, block.Attr{Key: "ports", Type: columnar.Int | columnar.Array}
	e.ratios.Attr, e.turns.Attr = block.Attr{Key: "ratios", Type: columnar.Float | columnar.Array}, block.Attr{Key: "turns", Type: columnar.Bool | columnar.Array}
	e.group.Attr = block.Attr{Key: "user", Type: columnar.String | columnar.Array}
	for i := range 3 {
		name := trace.StringValue(fmt.Appendf(nil, "svc-%d", i))
		res := trace.AppendAttr(nil, 1, &trace.Attr{Key: []byte("service.name"), Value: name})
		e.Resources = append(e.Resources, trace.Group{Raw: res, SchemaURL: []byte("https://schema")})
		e.Scopes = append(e.Scopes, trace.Group{Raw: field(1, fmt.Appendf(nil, "lib-%d", i))})
	}
	for i := range n {
		e.place(i)
		e.intrinsics(i)
		e.attributes(i)
		e.arrays(i)
	}
	return e.Columns, e.finish()
}

// place gives span i a trace, ids and a parent.
func (e *example) place(i int) {
	no := uint32(e.rng.IntN(max(e.Rows/10, 1)))
	if int(no) >= len(e.IDs) {
		no = uint32(len(e.IDs))
		e.IDs = append(e.IDs, trace.ID{byte(no * 37), byte(no >> 8), byte(no), 1})
	}
	e.Trace = append(e.Trace, no)
	parent := e.parents[no]
	switch {
	case parent == 0:
		e.w.Roots++
	case i%17 == 0:
		parent = -5 // lost
		e.w.Loose++
	default:
		e.w.Children++
	}
	e.parents[no] = int64(i + 1)
	e.Fixed[block.ColSpanID].Ints = append(e.Fixed[block.ColSpanID].Ints, int64(i+1))
	e.Fixed[block.ColParentID].Ints = append(e.Fixed[block.ColParentID].Ints, parent)
	e.Start = append(e.Start, 1_700_000_000_000_000_000+int64(i)*1000)
}

func (e *example) intrinsics(i int) {
	f := &e.Fixed
	d := int64(e.rng.IntN(1_000_000))
	e.durations += d
	f[block.ColDuration].Ints = append(f[block.ColDuration].Ints, d)
	f[block.ColName].Codes = append(f[block.ColName].Codes, e.names.Code(fmt.Appendf(nil, "op %d é", i%7)))
	f[block.ColKind].Codes = append(f[block.ColKind].Codes, uint32(1+i%5))
	f[block.ColStatus].Codes = append(f[block.ColStatus].Codes, uint32(i%3))
	r := e.rng.IntN(3)
	f[block.ColResource].Codes = append(f[block.ColResource].Codes, uint32(r))
	f[block.ColScope].Codes = append(f[block.ColScope].Codes, uint32(2-r))
	e.w.Services[fmt.Sprint("svc-", r)]++
	e.w.Scopes[fmt.Sprint("lib-", 2-r)]++
	if i%11 == 0 {
		ev := &f[block.ColEvents]
		ev.Rows, ev.Codes = append(ev.Rows, uint32(i)), append(ev.Codes, e.events.Add(field(11, field(2, []byte("log")))))
	}
}

func (e *example) attributes(i int) {
	row := uint32(i)
	if i%2 == 0 {
		u := e.rng.IntN(3000)
		e.user.Rows, e.user.Codes = append(e.user.Rows, row), append(e.user.Codes, e.users.Code(fmt.Appendf(nil, "user-%d", u)))
		e.w.Users++
		if strconv.Itoa(u)[0] == '1' {
			e.w.Ones++
		}
	}
	if i%3 == 0 {
		v := int64(200 + e.rng.IntN(4)*100)
		e.status.Rows, e.status.Ints = append(e.status.Rows, row), append(e.status.Ints, v)
		e.statuses += v
	}
	if i%5 == 0 {
		e.hot.Rows, e.hot.Ints = append(e.hot.Rows, row), append(e.hot.Ints, int64(i%2))
		e.w.Hot += i % 2
	}
	if i%7 == 0 {
		half := trace.DoubleValue(0.5)
		e.score.Rows, e.score.Ints = append(e.score.Rows, row), append(e.score.Ints, half.Int)
	}
	if i == e.Rows/2 {
		e.rare.Rows, e.rare.Ints = append(e.rare.Rows, row), append(e.rare.Ints, 77)
		e.w.Keys["user"]++
	}
	if i%13 == 0 {
		k, v := &e.Fixed[block.ColOverflowKey], &e.Fixed[block.ColOverflowValue]
		k.Rows, k.Lens = append(k.Rows, row), append(k.Lens, 2)
		k.Codes = append(k.Codes, e.keys.Code([]byte("list")), e.keys.Code([]byte("blob")))
		v.Codes = append(v.Codes, e.values.Code(field(5, field(1, field(1, []byte("x"))))), e.values.Code(field(7, []byte{0xff, 0})))
		e.w.Keys["list"]++
		e.w.Keys["blob"]++
	}
}

// arrays gives the span lists; rows with one user never have a list of users.
func (e *example) arrays(i int) {
	row := uint32(i)
	text := func(c *block.AttrColumn, n map[string]int, words ...string) {
		c.Rows, c.Lens = append(c.Rows, row), append(c.Lens, uint32(len(words)))
		for _, w := range words {
			c.Codes = append(c.Codes, e.words.Code([]byte(w)))
			n[w]++
		}
	}
	if i%4 == 0 {
		text(&e.tags, e.w.Tags, []string{"all", fmt.Sprint("tag-", e.rng.IntN(20)), ""}[:1+i/4%3]...)
		e.w.Tagged++
	}
	if i%9 == 1 {
		text(&e.group, e.w.UserTags, "root", "admin é")
	}
	if i%6 == 0 {
		e.ports.Rows, e.ports.Lens = append(e.ports.Rows, row), append(e.ports.Lens, 2)
		v := int64(e.rng.IntN(1 << 40))
		e.ports.Ints = append(e.ports.Ints, 443, v)
		e.portSum += 443 + v
	}
	if i%10 == 0 {
		half, many := trace.DoubleValue(0.5), trace.DoubleValue(float64(i))
		e.ratios.Rows, e.ratios.Lens = append(e.ratios.Rows, row), append(e.ratios.Lens, 3)
		e.ratios.Ints = append(e.ratios.Ints, half.Int, many.Int, half.Int)
		e.w.Ratios += 1 + float64(i)
	}
	if i%8 == 0 {
		e.turns.Rows, e.turns.Lens = append(e.turns.Rows, row), append(e.turns.Lens, 3)
		e.turns.Ints = append(e.turns.Ints, 1, 0, 1)
		e.w.Turns += 2
	}
}

// finish hands over the dictionaries and sums up.
func (e *example) finish() *seen {
	f, w := &e.Fixed, e.w
	f[block.ColName].Dict, e.user.Dict, f[block.ColEvents].Dict = &e.names.Dict, &e.users.Dict, &e.events.Dict
	f[block.ColOverflowKey].Dict, f[block.ColOverflowValue].Dict = &e.keys.Dict, &e.values.Dict
	e.tags.Dict, e.group.Dict = &e.words.Dict, &e.words.Dict
	e.Attrs = []block.AttrColumn{e.user, e.status, e.hot, e.score, e.rare, e.tags, e.ports, e.ratios, e.turns, e.group}
	w.Ports = fmt.Sprint(e.portSum)
	w.Traces, w.Duration, w.Status, w.PerTrace = len(e.IDs), fmt.Sprint(e.durations), fmt.Sprint(e.statuses), fmt.Sprint(e.Rows)
	w.Score = 0.5 * float64(e.score.Len())
	total := 0
	for _, k := range w.Keys {
		total += k
	}
	w.Overflow = fmt.Sprint(total)
	return w
}

// seal writes columns as the block `id` of tenant t below dir.
func seal(t testing.TB, dir, id string, c *block.Columns, o block.WriterOptions) *block.Block {
	t.Helper()
	w, err := block.NewWriter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Seal(filepath.Join(dir, "t", id), c, block.SealOptions{Tenant: "t", ID: id, Created: time.Unix(1_700_000_100, 0)}); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, id)
}

func open(t testing.TB, dir, id string) *block.Block {
	t.Helper()
	b, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	bl, err := block.Open(t.Context(), b, "t", id, block.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return bl
}

// DuckDB and hyparquet see in a sealed and in a merged block what was put there.
// RINGCTL_TEST_READERS names a folder with node_modules (see docs/formats/block.md).
func TestOtherReaders(t *testing.T) {
	modules := os.Getenv("RINGCTL_TEST_READERS")
	if modules == "" {
		t.Skip("RINGCTL_TEST_READERS names no folder")
	}
	c, want := exampleColumns(30000)
	dir := t.TempDir()
	one := seal(t, dir, "sealed", c, block.WriterOptions{GroupRows: 9000})
	small, _ := exampleColumns(3000)
	two := seal(t, dir, "part", small, block.WriterOptions{})
	w, err := block.NewWriter(block.WriterOptions{Level: 3, GroupRows: 7000, Blooms: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	// The merged block of one input has the same content, late columns and all.
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "merged"), []*block.Block{one}, block.MergeOptions{Tenant: "t", ID: "merged"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Merge(t.Context(), filepath.Join(dir, "t", "both"), []*block.Block{two, one}, block.MergeOptions{Tenant: "t", ID: "both"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"sealed", "merged", "both"} {
		var first *seen
		for _, script := range []string{"duckdb.mjs", "hyparquet.mjs"} {
			cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "readers", script), filepath.Join(dir, "t", id))
			cmd.Env = append(os.Environ(), "NODE_MODULES="+modules)
			out, err := cmd.Output()
			if err != nil {
				stderr := ""
				if e, ok := err.(*exec.ExitError); ok {
					stderr = string(e.Stderr)
				}
				t.Fatalf("%s on %s: %v\n%s", script, id, err, stderr)
			}
			got := new(seen)
			if err := json.Unmarshal(out, got); err != nil {
				t.Fatal(err)
			}
			if id == "both" { // two inputs overlap; the readers must agree with each other
				if first == nil {
					first = got
				} else if !reflect.DeepEqual(got, first) {
					t.Errorf("%s sees in %s\n%+v, the other\n%+v", script, id, got, first)
				}
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("%s sees in %s\n%+v, want\n%+v", script, id, got, want)
			}
		}
	}
}
