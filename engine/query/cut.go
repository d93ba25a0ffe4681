package query

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

// Unit is one independent piece of work of a query: a segment and the rows of it that count.
type Unit struct {
	Source string // where the spans come from, for messages
	info   columnar.Info
	seg    columnar.Segment
	live   columnar.Bitmap // nil = all rows
	parts  []part          // of a unit whose segment is put together from several when it runs
	later  *joining
}

// joining finds the parts of a unit when it runs.
type joining struct {
	c      *candidates
	pieces []*piece // as they were before the split traces were taken out
	joint  int
}

// Info is what is known of the unit: rows and bytes for cutting work, times for the order.
func (u *Unit) Info() *columnar.Info { return &u.info }

// segment is the unit's segment; of a joined unit it is put together here.
func (u *Unit) segment(ctx context.Context) (columnar.Segment, error) {
	if u.seg != nil {
		return u.seg, nil
	}
	parts, rows := u.parts, u.info.Rows
	if u.later != nil {
		wanted, err := u.later.c.find(ctx, u.later.pieces, u.later.joint)
		if err != nil {
			return nil, err
		}
		var all Unit
		all.collect(u.later.pieces, make([]int, len(u.later.pieces)), wanted, uint32(u.later.joint))
		parts, rows = all.parts, all.info.Rows
	}
	if err := BudgetFrom(ctx).Take(sizeJoined * int64(rows)); err != nil {
		return nil, err
	}
	return newJoined(ctx, parts)
}

// cutting says how the segments of a query become units.
type cutting struct {
	tenant     string
	tokens     tokenSet    // nil = every trace
	ids        []IDRange   // nil = every trace
	young      tokenSet    // of pieces of SideYoung
	held       bool        // see MetricsRequest.Held
	start, end int64       // only segments with a span in [start, end]; 0 = open
	join       bool        // put traces of several segments together; otherwise only count their spans once
	candidates *candidates // which traces can be in the answer; nil = not known
	newest     bool        // the answer must be the newest traces
	run        Runner
	rare       float64               // up to this share of spans, look for the candidates first
	only       map[trace.ID]struct{} // the candidates, when they were looked for; nil = all traces
}

// maxJoined is about how many spans are put together into one segment of their own.
const maxJoined = 1 << 16

// piece is a segment while it is cut.
type piece struct {
	source string
	side   Side
	seg    remembering
	info   *columnar.Info
	traces *columnar.Traces
	live   columnar.Bitmap
	split  []splitTrace // its traces that other segments have parts of, by trace number
	found  bool         // a trace that can be in the answer, when these were looked for
}

type splitTrace struct {
	number uint32 // in the segment
	joint  int    // among all split traces
}

// cut makes the units, newest first.
func (c *cutting) cut(ctx context.Context, sources []columnar.Source) ([]*Unit, error) {
	if c.run == nil {
		c.run = inTurn
	}
	whole := BudgetFrom(ctx)
	own := whole.Part()
	defer own.Release()
	ctx = WithBudget(ctx, own)
	var pieces []*piece
	for _, src := range sources {
		for _, seg := range src.Segments() {
			info := seg.Info()
			if info.Rows == 0 || c.start != 0 && info.End < c.start || c.end != 0 && info.Start > c.end || outside(c.ids, info) {
				continue
			}
			p := &piece{source: src.Name(), side: sideOf(src), seg: remembering{seg, &memo{open: true, mem: whole}}, info: info}
			if p.side == SideOthers {
				p.live = columnar.NewBitmap(info.Rows)
			}
			pieces = append(pieces, p)
		}
	}
	if c.held {
		youngFirst(pieces)
	}
	for _, p := range pieces {
		if err := c.mask(ctx, p); err != nil {
			return nil, err
		}
	}
	joint, err := c.findSplit(ctx, pieces)
	if err != nil {
		return nil, err
	}
	if err := c.takeSides(ctx, pieces, joint); err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if err := p.dropRepeated(ctx, c.only); err != nil {
			return nil, err
		}
	}
	for _, p := range pieces {
		p.seg.memo.open = false // from here on several goroutines may work on it
	}
	units, err := c.divide(ctx, pieces, joint)
	if err != nil {
		return nil, err
	}
	if c.held {
		if err := c.shareYoung(ctx, pieces); err != nil {
			return nil, err
		}
	}
	for _, p := range pieces {
		if c.only != nil && !p.found {
			continue
		}
		if p.live == nil || !p.live.Empty() {
			units = append(units, &Unit{Source: p.source, info: *p.info, seg: p.seg, live: p.live})
		}
	}
	sort.SliceStable(units, func(i, j int) bool {
		if a, b := units[i].seg == nil, units[j].seg == nil; a != b && !c.newest {
			return b // joining is dear: perhaps the others are enough
		}
		return units[i].info.End > units[j].info.End
	})
	return units, nil
}

// divide sees to it that every span of the split traces counts once: in units of their own, or in one of the pieces.
func (c *cutting) divide(ctx context.Context, pieces []*piece, joint int) ([]*Unit, error) {
	if joint == 0 {
		return nil, nil
	}
	all, err := identify(ctx, pieces, c.run)
	if err == nil {
		err = dropEqual(ctx, pieces, all, joint)
	}
	switch {
	case err != nil:
		return nil, err
	case c.join:
		return c.joinSplit(ctx, pieces, joint)
	}
	return nil, dropCopies(ctx, pieces, all)
}

// mask leaves only the rows of the token and id ranges.
func (c *cutting) mask(ctx context.Context, p *piece) error {
	tokens := c.tokens
	if c.held {
		tokens = nil // see shareYoung
	}
	if tokens == nil && within(c.ids, p.info) || p.side == SideOthers {
		return nil
	}
	return c.maskTo(ctx, p, tokens)
}

func (c *cutting) maskTo(ctx context.Context, p *piece, tokens tokenSet) error {
	t, err := p.load(ctx)
	if err != nil {
		return err
	}
	p.live = columnar.NewBitmap(p.info.Rows)
	for i, id := range t.IDs {
		if i&255 == 0 && ctx.Err() != nil { // there may be many ranges
			return ctx.Err()
		}
		if !inIDs(c.ids, id) || tokens != nil && !tokens.has(trace.Token(c.tenant, id)) {
			continue
		}
		if t.Perm == nil {
			p.live.SetRange(t.Offsets[i], t.Offsets[i+1])
			continue
		}
		for _, row := range t.Perm[t.Offsets[i]:t.Offsets[i+1]] {
			p.live.Set(row)
		}
	}
	return nil
}

// tokenSet is ranges of tokens, ascending and disjoint.
type tokenSet []TokenRange

// newTokenSet is the set of the tokens in ranges, which may overlap; nil stays nil.
func newTokenSet(ranges []TokenRange) tokenSet {
	if ranges == nil {
		return nil
	}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b TokenRange) int { return cmp.Compare(a.First, b.First) })
	set := tokenSet{}
	for _, r := range sorted {
		if n := len(set); n > 0 && r.First <= set[n-1].Last {
			set[n-1].Last = max(set[n-1].Last, r.Last)
		} else if r.First <= r.Last {
			set = append(set, r)
		}
	}
	return set
}

func (s tokenSet) has(token uint32) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].Last >= token })
	return i < len(s) && s[i].First <= token
}

func (p *piece) load(ctx context.Context) (*columnar.Traces, error) {
	if p.traces == nil {
		t, err := p.seg.Traces(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.source, err)
		}
		p.traces = t
	}
	return p.traces, nil
}

func (p *piece) ensureLive() {
	if p.live == nil {
		p.live = columnar.NewBitmap(p.info.Rows)
		p.live.Fill(p.info.Rows)
	}
}

// findSplit finds the traces that lie in several segments and numbers them. Only segments whose id ranges overlap are
// looked at, and when few traces can be in the answer, only these.
func (c *cutting) findSplit(ctx context.Context, pieces []*piece) (joint int, err error) {
	byID := slices.Clone(pieces)
	sort.SliceStable(byID, func(i, j int) bool { return bytes.Compare(byID[i].info.MinID[:], byID[j].info.MinID[:]) < 0 })
	overlap := slices.ContainsFunc(pieces, func(p *piece) bool { return !p.info.Unique })
	for i := 1; i < len(byID); i++ {
		overlap = overlap || compareIDs(byID[i].info.MinID, byID[i-1].info.MaxID) <= 0
	}
	if overlap && c.candidates != nil {
		joint, ids, err := c.candidates.findRare(ctx, pieces, c.rare, c.run)
		if c.only = ids; ids != nil || err != nil {
			return joint, err
		}
	}
	for i := 0; i < len(byID); {
		end, last := i+1, byID[i].info.MaxID
		for end < len(byID) && bytes.Compare(byID[end].info.MinID[:], last[:]) <= 0 {
			if bytes.Compare(byID[end].info.MaxID[:], last[:]) > 0 {
				last = byID[end].info.MaxID
			}
			end++
		}
		if end-i > 1 {
			if joint, err = shareIDs(ctx, byID[i:end], joint); err != nil {
				return 0, err
			}
		}
		i = end
	}
	return joint, nil
}

// place is a trace of a piece.
type place struct {
	id     trace.ID
	p      *piece
	order  int // of the piece
	number uint32
}

// bitsPerID makes few ids of different traces share a bit: one in this many. maxIDBits bounds the memory to two bitmaps
// of 16 MB; beyond that more ids are compared.
const (
	bitsPerID = 32
	maxIDBits = 27
)

// shareIDs numbers the traces that several of the pieces have, on from joint. A first pass sets a bit for every id and
// another one where a bit was set before; only the ids with such a bit are compared.
func shareIDs(ctx context.Context, pieces []*piece, joint int) (int, error) {
	n := 0
	for _, p := range pieces {
		t, err := p.load(ctx)
		if err != nil {
			return 0, err
		}
		n += len(t.IDs)
	}
	shift := 64 - min(maxIDBits, bits.Len(uint(n*bitsPerID)))
	if err := BudgetFrom(ctx).Take(1 << (64 - shift) / 4); err != nil { // a bit in two bitmaps
		return 0, err
	}
	once, twice := columnar.NewBitmap(1<<(64-shift)), columnar.NewBitmap(1<<(64-shift))
	for _, p := range pieces {
		for i := range p.traces.IDs {
			if i&4095 == 0 && ctx.Err() != nil {
				return 0, ctx.Err()
			}
			bit := bitOf(&p.traces.IDs[i], shift)
			if once.Has(bit) {
				twice.Set(bit)
			}
			once.Set(bit)
		}
	}
	var places []place
	for order, p := range pieces {
		for i := range p.traces.IDs {
			if i&4095 == 0 && ctx.Err() != nil {
				return 0, ctx.Err()
			}
			if twice.Has(bitOf(&p.traces.IDs[i], shift)) {
				places = append(places, place{p.traces.IDs[i], p, order, uint32(i)})
			}
		}
	}
	return numberShared(ctx, places, joint)
}

func bitOf(id *trace.ID, shift int) uint32 {
	h := binary.LittleEndian.Uint64(id[8:]) ^ binary.LittleEndian.Uint64(id[:8])*0x9E3779B97F4A7C15
	return uint32(h * 0xD6E8FEB86659FD93 >> shift)
}

// numberShared numbers the traces that are in several places, by ascending id.
func numberShared(ctx context.Context, places []place, joint int) (int, error) {
	err := sortUntil(ctx, places, func(a, b place) int { return cmp.Or(compareIDs(a.id, b.id), cmp.Compare(a.order, b.order)) })
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(places); {
		end := i + 1
		for end < len(places) && places[end].id == places[i].id {
			end++
		}
		if end-i > 1 {
			for _, x := range places[i:end] {
				x.p.split = append(x.p.split, splitTrace{x.number, joint})
			}
			joint++
		}
		i = end
	}
	return joint, nil
}

// joinSplit takes the split traces out of their pieces and puts those that can be in the answer together.
func (c *cutting) joinSplit(ctx context.Context, pieces []*piece, joint int) ([]*Unit, error) {
	whole := withSplit(pieces)
	wanted := columnar.NewBitmap(joint)
	wanted.Fill(joint)
	if c.candidates != nil {
		if u := c.joinLater(whole, joint); u != nil {
			removeSplit(pieces)
			return []*Unit{u}, nil
		}
		var err error
		if wanted, err = c.candidates.find(ctx, whole, joint); err != nil {
			return nil, err
		}
	}
	var units []*Unit
	unit := &Unit{Source: "traces in several places"}
	at := make([]int, len(whole))
	for next, ok := wanted.Next(0); ok; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		stop := next + 256
		unit.collect(whole, at, wanted, stop)
		next, ok = wanted.Next(stop)
		if unit.info.Rows >= maxJoined || !ok && unit.info.Rows > 0 {
			units = append(units, unit)
			unit = &Unit{Source: unit.Source}
		}
	}
	removeSplit(pieces)
	return units, nil
}

// withSplit copies the pieces that have split traces, as they are now.
func withSplit(pieces []*piece) []*piece {
	var out []*piece
	for _, p := range pieces {
		if len(p.split) > 0 {
			before := *p
			out = append(out, &before)
		}
	}
	return out
}

// joinLater is one unit for all split traces, when they are few: which of them can be in the answer is found when it
// runs. nil when they are many.
func (c *cutting) joinLater(pieces []*piece, joint int) *Unit {
	u := &Unit{Source: "traces in several places", later: &joining{c: c.candidates, pieces: pieces, joint: joint}}
	for _, p := range pieces {
		for _, t := range p.split {
			u.info.Rows += int(p.traces.Offsets[t.number+1] - p.traces.Offsets[t.number])
		}
		u.info.End = max(u.info.End, p.info.End)
	}
	if u.info.Rows > maxJoined {
		return nil
	}
	return u
}

// collect adds the wanted joint traces below stop; at is the place in each piece's split list, which goes by ascending
// joint number.
func (u *Unit) collect(pieces []*piece, at []int, wanted columnar.Bitmap, stop uint32) {
	if u.parts == nil {
		u.parts = make([]part, len(pieces))
	}
	for i, p := range pieces {
		rows, x := 0, &u.parts[i]
		for at[i] < len(p.split) && p.split[at[i]].joint < int(stop) {
			t := p.split[at[i]]
			at[i]++
			if wanted.Has(uint32(t.joint)) {
				x.traces = append(x.traces, t)
				rows += int(p.traces.Offsets[t.number+1] - p.traces.Offsets[t.number])
			}
		}
		if rows == 0 {
			continue
		}
		x.p = p
		u.info.Rows += rows
		u.info.Bytes += p.info.Bytes * int64(rows) / int64(p.info.Rows)
		if u.info.Start == 0 || p.info.Start < u.info.Start {
			u.info.Start = p.info.Start
		}
		u.info.End = max(u.info.End, p.info.End)
	}
}

func (p *piece) appendRows(t uint32, dst []uint32) []uint32 {
	for k := p.traces.Offsets[t]; k < p.traces.Offsets[t+1]; k++ {
		row := k
		if p.traces.Perm != nil {
			row = p.traces.Perm[k]
		}
		if p.live == nil || p.live.Has(row) {
			dst = append(dst, row)
		}
	}
	return dst
}

// removeSplit takes the split traces out of the pieces.
func removeSplit(pieces []*piece) {
	var rows []uint32
	for _, p := range pieces {
		if len(p.split) == 0 {
			continue
		}
		p.live = p.live.Clone() // copies of the piece keep theirs
		p.ensureLive()
		for _, t := range p.split {
			rows = p.appendRows(t.number, rows[:0])
			for _, row := range rows {
				p.live.Unset(row)
			}
		}
	}
}
