package partition_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

var allStates = []partition.State{
	partition.Unknown, partition.Pending, partition.Active, partition.Inactive, partition.Deleted,
}

// The table in the package comment is printed from the code; the drawing above
// it has one arrow per move.
func TestMovesAreAsDrawn(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	arrows := 0
	for _, from := range allStates {
		if to := partition.Moves(from); len(to) > 0 {
			fmt.Fprintf(&want, "//\t%-8s ->", strings.TrimPrefix(from.String(), "Partition"))
			for _, s := range to {
				fmt.Fprintf(&want, " %s", strings.TrimPrefix(s.String(), "Partition"))
				arrows++
			}
			want.WriteString("\n")
		}
	}
	if !strings.Contains(string(src), want.String()) {
		t.Errorf("doc.go lacks the table\n%s", &want)
	}
	if got := drawnMoves(string(src)); !reflect.DeepEqual(got, codeMoves()) || len(got) != arrows {
		t.Errorf("the drawing says %v, the code %v", got, codeMoves())
	}
}

func codeMoves() []string {
	var out []string
	for _, from := range allStates {
		for _, to := range partition.Moves(from) {
			out = append(out, from.String()+">"+to.String())
		}
	}
	slices.Sort(out)
	return out
}

// drawnMoves follows the lines of the drawing in the package comment: the row
// of names with "->" between neighbours, an upper line that ends in a v over its
// target, and a lower line that ends in a ^ under it.
func drawnMoves(src string) []string {
	lines := strings.Split(src, "\n")
	row := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "Pending -> Active -> Inactive") })
	if row < 2 || row+2 >= len(lines) {
		return nil
	}
	name := func(col int) string { // the name over or under a column
		for _, m := range regexp.MustCompile(`[A-Z][a-z]+`).FindAllStringIndex(lines[row], -1) {
			if m[0] <= col && col <= m[1] {
				return "Partition" + lines[row][m[0]:m[1]]
			}
		}
		return "nothing"
	}
	names := regexp.MustCompile(`[A-Z][a-z]+`).FindAllString(lines[row], -1)
	var out []string
	for n := 0; n+1 < len(names); n++ {
		out = append(out, "Partition"+names[n]+">Partition"+names[n+1])
	}
	if strings.HasSuffix(lines[row], "-+") { // from the last name, up and back
		out = append(out, "Partition"+names[len(names)-1]+">"+name(strings.Index(lines[row-1], "v")))
	}
	out = append(out, name(strings.Index(lines[row+1], "|"))+">"+name(strings.Index(lines[row+1], "^")))
	slices.Sort(out)
	return out
}

func TestEditsFollowTheTable(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, from := range allStates {
		for _, to := range allStates {
			for _, locked := range []bool{false, true} {
				d := partition.NewDesc()
				d.Partitions[1] = partition.Partition{ID: 1, State: from, StateChangeLocked: locked, StateTimestamp: 1000}
				changed, err := partition.ChangeState(d, 1, to, now)
				allowed := slices.Contains(partition.Moves(from), to)
				var want error
				switch {
				case from == to:
				case !allowed:
					want = partition.ErrNotAllowed
				case locked:
					want = partition.ErrLocked
				}
				if !errors.Is(err, want) || changed != (want == nil && from != to) {
					t.Errorf("%v to %v, locked %v: %v, %v; want %v", from, to, locked, changed, err, want)
				}
				if p := d.Partitions[1]; changed && (p.State != to || p.StateTimestamp != 1001) {
					t.Errorf("%v to %v: became %+v", from, to, p)
				}
			}
		}
	}
}

func TestAddsAndOwners(t *testing.T) {
	now := time.Unix(1000, 0)
	d := &partition.Desc{}
	if added, err := partition.AddPartition(d, 3, partition.Pending, now); !added || err != nil {
		t.Fatalf("add: %v %v", added, err)
	}
	if added, err := partition.AddPartition(d, 3, partition.Active, now); added || err != nil {
		t.Fatalf("add again: %v %v", added, err)
	}
	if _, err := partition.AddPartition(d, -1, partition.Active, now); !errors.Is(err, ring.ErrNoSpreadTokens) {
		t.Errorf("a negative partition: %v", err)
	}
	want, err := ring.SpreadMinimizing(3, 0, 512, nil)
	if err != nil || !slices.Equal(d.Partitions[3].Tokens, want) {
		t.Errorf("tokens differ from the generator's (%v)", err)
	}
	if !partition.AddOwner(d, "a", 3, partition.OwnerActive, now) || partition.AddOwner(d, "a", 3, partition.OwnerActive, now) {
		t.Error("an owner is added once")
	}
	if !partition.AddOwner(d, "a", 4, partition.OwnerActive, now) || d.Owners["a"].UpdatedTimestamp != 1001 {
		t.Errorf("an owner that moves in the same second must win: %+v", d.Owners["a"])
	}
	if !partition.RemoveOwner(d, "a") || partition.RemoveOwner(d, "a") || !partition.RemovePartition(d, 3) || partition.RemovePartition(d, 3) {
		t.Error("removal happens once")
	}
}

func TestOwnerInstance(t *testing.T) {
	for id, want := range map[string]string{
		"ls-0": "ls-0 0 false", "ls-0/7": "ls-0 7 true", "a/b/12": "a/b 12 true", "a/": "a/ 0 false",
		"a/x": "a/x 0 false", "a/99999999999": "a/99999999999 0 false", "": " 0 false",
	} {
		instance, n, ok := partition.OwnerInstance(id)
		if got := fmt.Sprint(instance, " ", n, " ", ok); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
	if id := partition.OwnerID("ls-0", 7); id != "ls-0/7" {
		t.Errorf("owner id %q", id)
	}
}

// Partitions without tokens, or with a scheme, get the tokens of their number;
// their stored form keeps the scheme and stays without tokens.
func TestDerivedTokens(t *testing.T) {
	scheme := append([]byte{0x3a, 10}, "smt-v1-512"...)
	d := partition.NewDesc()
	for id := range int32(4) {
		d.Partitions[id] = partition.Partition{ID: id, State: partition.Active, Unknown: scheme}
	}
	tokens, err := ring.SpreadMinimizing(2, 0, 512, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.Partitions[2] = partition.Partition{ID: 2, State: partition.Active, Tokens: tokens}
	d.Partitions[3] = partition.Partition{ID: 3, State: partition.Active}
	d.Partitions[1<<30] = partition.Partition{ID: 1 << 30, State: partition.Active} // too far to derive
	b, err := d.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	back, err := partition.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if p := back.Partitions[1]; len(p.Tokens) != 0 || !bytes.Equal(p.Unknown, scheme) {
		t.Errorf("stored form became %+v", p)
	}
	r := partition.New(back)
	stored := partition.NewDesc()
	for id := range int32(4) {
		if _, err := partition.AddPartition(stored, id, partition.Active, storyNow); err != nil {
			t.Fatal(err)
		}
	}
	plain := partition.New(stored)
	next := r.Next(back)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		key := rng.Uint32()
		a, ea := r.ActivePartitionForKey(key)
		b, eb := plain.ActivePartitionForKey(key)
		c, ec := next.ActivePartitionForKey(key)
		if a != b || a != c || ea != nil || eb != nil || ec != nil {
			t.Fatalf("key %d: %d, with stored tokens %d, from the previous snapshot %d", key, a, b, c)
		}
	}
	for _, id := range []int32{1, 3} { // with a scheme, and without tokens
		if &mustPartition(t, next, id).Tokens[0] != &mustPartition(t, r, id).Tokens[0] {
			t.Errorf("derived tokens of %d were computed again", id)
		}
	}
}

func mustPartition(t *testing.T, r *partition.Ring, id int32) *partition.Partition {
	t.Helper()
	p, ok := r.Partition(id)
	if !ok {
		t.Fatalf("no partition %d", id)
	}
	return p
}

// randomDesc draws partition rings from a small world, so that they meet.
// Entries of one id with one timestamp are equal, which leaves out the known
// ties.
func randomDesc(rng *rand.Rand) *partition.Desc {
	d := partition.NewDesc()
	for id := range int32(rng.IntN(7)) {
		p := partition.Partition{ID: id, Tokens: []uint32{uint32(id) * 7, 1000 + uint32(id)*13}}
		p.StateTimestamp = 1000 + rng.Int64N(5)
		p.State = allStates[(p.StateTimestamp+int64(id))%5]
		p.StateChangeLockedTimestamp = rng.Int64N(3)
		p.StateChangeLocked = p.StateChangeLockedTimestamp == 1
		if rng.IntN(4) > 0 {
			d.Partitions[id] = p
		}
		for _, zone := range []string{"a", "b"} {
			o := partition.Owner{OwnedPartition: id, UpdatedTimestamp: 1000 + rng.Int64N(4)}
			o.State = partition.OwnerState(1 + o.UpdatedTimestamp%2)
			if rng.IntN(3) > 0 {
				d.Owners[fmt.Sprintf("%s-%d", zone, id)] = o
			}
		}
	}
	return d
}

func merged(a, b *partition.Desc) *partition.Desc {
	out := a.Clone()
	partition.Merge(out, b, false, storyNow)
	return out
}

func TestMergeLaws(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a, b, c := randomDesc(rng), randomDesc(rng), randomDesc(rng)
		for law, pair := range map[string][2]*partition.Desc{
			"idempotent":  {merged(a, b), merged(merged(a, b), b)},
			"commutative": {merged(a, b), merged(b, a)},
			"associative": {merged(merged(a, b), c), merged(a, merged(b, c))},
		} {
			if pair[0].Hash() != pair[1].Hash() {
				t.Fatalf("seed %d: not %s:\n%s\n%s", seed, law, show(pair[0]), show(pair[1]))
			}
		}
		if change := partition.Merge(a.Clone(), a, false, storyNow); change != nil {
			t.Fatalf("seed %d: a ring merged with itself changes:\n%s", seed, show(change))
		}
		follower, sender := a.Clone(), a.Clone()
		if change := partition.Merge(sender, b, true, storyNow); change != nil {
			partition.Merge(follower, change, false, storyNow)
		}
		if follower.Hash() != sender.Hash() {
			t.Fatalf("seed %d: the change does not carry the merge", seed)
		}
	}
}

// The lookup must agree with a walk over all tokens, one by one.
func TestActivePartitionLikeTwin(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 2))
		d := randomDesc(rng)
		owner := map[uint32]int32{}
		for id, p := range d.Partitions {
			for _, tok := range p.Tokens {
				if o, ok := owner[tok]; (!ok || id < o) && p.State == partition.Active {
					owner[tok] = id
				}
			}
		}
		r := partition.New(d)
		for range 10 {
			key := rng.Uint32N(1200)
			want, found := int32(0), false
			for step := range uint64(1 << 11) { // tokens are below 2^11: past the end, start at 0
				if id, ok := owner[uint32((uint64(key)+1+step)%(1<<11))]; ok {
					want, found = id, true
					break
				}
			}
			got, err := r.ActivePartitionForKey(key)
			if found != (err == nil) || got != want {
				t.Fatalf("seed %d key %d: %d %v, twin %d %v", seed, key, got, err, want, found)
			}
		}
	}
}

func TestTopologyHash(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	d := randomDesc(rng)
	other := d.Clone()
	partition.AddOwner(other, "late", 3, partition.OwnerDeleted, storyNow)
	if d.TopologyHash() != other.TopologyHash() {
		t.Error("a tombstone changes the topology")
	}
	partition.AddOwner(other, "late", 3, partition.OwnerActive, storyNow)
	if d.TopologyHash() == other.TopologyHash() {
		t.Error("an owner does not change the topology")
	}
}

func FuzzUnmarshal(f *testing.F) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 3 {
		b, _ := randomDesc(rng).MarshalBinary()
		f.Add(b)
	}
	f.Add([]byte{0x0a, 0x0a, 0x08, 7, 0x12, 6, 0x08, 9, 0x08, 8, 0x20, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := partition.Unmarshal(b)
		if err != nil {
			return
		}
		first, _ := d.MarshalBinary()
		again, err := partition.Unmarshal(first)
		if err != nil {
			t.Fatalf("own bytes are unreadable: %v", err)
		}
		if second, _ := again.MarshalBinary(); !bytes.Equal(first, second) {
			t.Fatalf("%x became %x", first, second)
		}
		if change := partition.Merge(d, again, false, storyNow); change != nil {
			t.Fatalf("equal rings change each other: %s", show(change))
		}
		for id := range d.Partitions {
			if id > 64 {
				return // deriving tokens for high numbers is slow, not wrong
			}
		}
		r := partition.New(d)
		r.Ownership()
		r.ShuffleShard("t", 2)
		if id, err := r.ActivePartitionForKey(77); err == nil {
			r.TokenRanges(id)
		}
		d.TopologyHash()
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(partition.EncodeValue(randomDesc(rand.New(rand.NewPCG(5, 5)))))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := partition.DecodeValue(b)
		if err != nil {
			return
		}
		again, err := partition.DecodeValue(partition.EncodeValue(d))
		if err != nil || again.Hash() != d.Hash() {
			t.Fatalf("own value differs: %v", err)
		}
	})
}

func benchRing(b *testing.B, n int32) *partition.Desc {
	d := partition.NewDesc()
	s := ring.NewSpreader(0)
	for id := range n {
		tokens, err := s.Tokens(int(id))
		if err != nil {
			b.Fatal(err)
		}
		d.Partitions[id] = partition.Partition{ID: id, Tokens: tokens, State: partition.Active, StateTimestamp: 1}
		for _, zone := range []string{"a", "b"} {
			d.Owners[fmt.Sprintf("ls-%s-%d", zone, id)] = partition.Owner{OwnedPartition: id, State: partition.OwnerActive}
		}
	}
	return d
}

func BenchmarkPartitionRing(b *testing.B) {
	d := benchRing(b, 100)
	r := partition.New(d)
	b.Run("100/ActivePartitionForKey", func(b *testing.B) {
		b.ReportAllocs()
		rng := rand.New(rand.NewPCG(1, 1))
		keys := make([]uint32, 1<<12)
		for n := range keys {
			keys[n] = rng.Uint32()
		}
		for n := 0; b.Loop(); n++ {
			if _, err := r.ActivePartitionForKey(keys[n&(1<<12-1)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("100/New", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			partition.New(d)
		}
	})
	for id, p := range d.Partitions {
		p.Tokens = nil
		d.Partitions[id] = p
	}
	derived := partition.New(d)
	b.Run("100/Next_derived", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			derived.Next(d)
		}
	})
}
