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
	"github.com/ringctl/ringctl/engine/query"
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
}

func field(num int, v []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(num)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// exampleColumns makes n spans with every kind of column, and what is in them.
func exampleColumns(n int) (*block.Columns, *seen) {
	rng := rand.New(rand.NewPCG(5, 5))
	c := &block.Columns{Rows: n}
	w := &seen{Services: map[string]int{}, Scopes: map[string]int{}, Keys: map[string]int{}, Spans: n}
	for i := range 3 {
		var res []byte
		name := trace.StringValue(fmt.Appendf(nil, "svc-%d", i))
		res = trace.AppendAttr(res, 1, &trace.Attr{Key: []byte("service.name"), Value: name})
		c.Resources = append(c.Resources, trace.Group{Raw: res, SchemaURL: []byte("https://schema")})
		c.Scopes = append(c.Scopes, trace.Group{Raw: field(1, fmt.Appendf(nil, "lib-%d", i))})
	}
	var names, users, events, keys, values pq.Interner
	user := block.AttrColumn{Attr: block.Attr{Key: "user", Type: query.String}}
	status := block.AttrColumn{Attr: block.Attr{Key: "http.status_code", Type: query.Int}}
	hot := block.AttrColumn{Attr: block.Attr{Key: "hot", Type: query.Bool}}
	score := block.AttrColumn{Attr: block.Attr{Key: "score", Type: query.Float}}
	rare := block.AttrColumn{Attr: block.Attr{Key: "user", Type: query.Int}}
	f := &c.Fixed
	var duration, sum int64
	perTrace := max(n/10, 1)
	parents := map[uint32]int64{}
	for i := range n {
		row := uint32(i)
		no := uint32(rng.IntN(perTrace))
		for int(no) >= len(c.IDs) {
			no = uint32(len(c.IDs))
			c.IDs = append(c.IDs, trace.ID{byte(len(c.IDs) * 37), byte(len(c.IDs) >> 8), byte(len(c.IDs)), 1})
		}
		c.Trace = append(c.Trace, no)
		f[block.ColSpanID].Ints = append(f[block.ColSpanID].Ints, int64(i+1))
		parent := parents[no]
		if parent == 0 {
			w.Roots++
		}
		if parent != 0 && i%17 == 0 {
			parent = -5 // lost
			w.Loose++
		} else if parent != 0 {
			w.Children++
		}
		parents[no] = int64(i + 1)
		f[block.ColParentID].Ints = append(f[block.ColParentID].Ints, parent)
		c.Start = append(c.Start, 1_700_000_000_000_000_000+int64(i)*1000)
		d := int64(rng.IntN(1_000_000))
		duration += d
		f[block.ColDuration].Ints = append(f[block.ColDuration].Ints, d)
		f[block.ColName].Codes = append(f[block.ColName].Codes, names.Code(fmt.Appendf(nil, "op %d é", i%7)))
		f[block.ColKind].Codes = append(f[block.ColKind].Codes, uint32(1+i%5))
		f[block.ColStatus].Codes = append(f[block.ColStatus].Codes, uint32(i%3))
		r := rng.IntN(3)
		f[block.ColResource].Codes = append(f[block.ColResource].Codes, uint32(r))
		f[block.ColScope].Codes = append(f[block.ColScope].Codes, uint32(2-r))
		w.Services[fmt.Sprint("svc-", r)]++
		w.Scopes[fmt.Sprint("lib-", 2-r)]++
		if i%2 == 0 {
			u := rng.IntN(3000)
			user.Rows, user.Codes = append(user.Rows, row), append(user.Codes, users.Code(fmt.Appendf(nil, "user-%d", u)))
			w.Users++
			if strconv.Itoa(u)[0] == '1' {
				w.Ones++
			}
		}
		if i%3 == 0 {
			v := int64(200 + rng.IntN(4)*100)
			status.Rows, status.Ints = append(status.Rows, row), append(status.Ints, v)
			sum += v
		}
		if i%5 == 0 {
			hot.Rows, hot.Ints = append(hot.Rows, row), append(hot.Ints, int64(i%2))
			w.Hot += i % 2
		}
		if i%7 == 0 {
			v := trace.DoubleValue(0.5)
			score.Rows, score.Ints = append(score.Rows, row), append(score.Ints, v.Int)
		}
		if i == n/2 {
			rare.Rows, rare.Ints = append(rare.Rows, row), append(rare.Ints, 77)
			w.Keys["user"]++
		}
		if i%11 == 0 {
			f[block.ColEvents].Rows = append(f[block.ColEvents].Rows, row)
			f[block.ColEvents].Codes = append(f[block.ColEvents].Codes, events.Add(field(11, field(2, []byte("log")))))
		}
		if i%13 == 0 {
			k, v := &f[block.ColOverflowKey], &f[block.ColOverflowValue]
			k.Rows, k.Lens = append(k.Rows, row), append(k.Lens, 2)
			k.Codes = append(k.Codes, keys.Code([]byte("list")), keys.Code([]byte("blob")))
			v.Codes = append(v.Codes, values.Code(field(5, field(1, field(1, []byte("x"))))), values.Code(field(7, []byte{0xff, 0})))
			w.Keys["list"]++
			w.Keys["blob"]++
		}
	}
	f[block.ColName].Dict, user.Dict, f[block.ColEvents].Dict = &names.Dict, &users.Dict, &events.Dict
	f[block.ColOverflowKey].Dict, f[block.ColOverflowValue].Dict = &keys.Dict, &values.Dict
	c.Attrs = []block.AttrColumn{user, status, hot, score, rare}
	w.Traces, w.Duration, w.Status, w.PerTrace = len(c.IDs), fmt.Sprint(duration), fmt.Sprint(sum), fmt.Sprint(n)
	w.Score = 0.5 * float64(score.Len())
	total := 0
	for _, k := range w.Keys {
		total += k
	}
	w.Overflow = fmt.Sprint(total)
	return c, w
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
