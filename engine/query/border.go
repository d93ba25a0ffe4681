package query

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

// A question that looks at whole traces must see every trace whole in one place, and in one place only. Several places
// share the work: by the ids of traces (IDRange), and, where some sources can only be read in one of the places, by
// sides.

// Side says what a source is to an evaluation that shares the traces with others.
type Side uint8

// The sides. A source without a side is SideOwn: it is read, and its traces are answered.
const (
	SideOwn Side = iota
	// SideHelp is read only for the traces that own sources have.
	SideHelp
	// SideShared is read, save for the traces that a source of SideOthers has: those are answered elsewhere, with the
	// spans that are here.
	SideShared
	// SideOthers is not read: its traces are answered elsewhere.
	SideOthers
	// SideYoung is read for the traces that own sources have, and for those with the tokens of SearchRequest.Young. Of
	// metrics see MetricsRequest.Held.
	SideYoung
)

// sided is a source with a side.
type sided struct {
	columnar.Source
	side Side
}

// WithSide gives a source a side.
func WithSide(s columnar.Source, side Side) columnar.Source { return sided{s, side} }

func sideOf(s columnar.Source) Side {
	if x, ok := s.(sided); ok {
		return x.side
	}
	return SideOwn
}

// IDRange is the trace ids from First to Last, both included.
type IDRange struct{ First, Last trace.ID }

func (r IDRange) has(id trace.ID) bool {
	return compareIDs(r.First, id) <= 0 && compareIDs(id, r.Last) <= 0
}

// DivideIDs cuts all trace ids into n shares of similar size. Ids of 64 bits, whose upper half is zero, are shared out
// by their lower half.
func DivideIDs(n int) [][]IDRange {
	bound := func(i int) uint64 { return uint64(i) * (^uint64(0) / uint64(n)) }
	out := make([][]IDRange, n)
	for i := range out {
		var short, long IDRange
		first, next := bound(i), bound(i+1)
		binary.BigEndian.PutUint64(short.First[8:], first)
		binary.BigEndian.PutUint64(long.First[:8], max(first, 1))
		binary.BigEndian.PutUint64(short.Last[8:], next-1)
		binary.BigEndian.PutUint64(long.Last[:8], next-1)
		if i == n-1 {
			binary.BigEndian.PutUint64(short.Last[8:], ^uint64(0))
			binary.BigEndian.PutUint64(long.Last[:8], ^uint64(0))
		}
		binary.BigEndian.PutUint64(long.Last[8:], ^uint64(0))
		out[i] = []IDRange{short, long}
	}
	return out
}

// outside reports that no id of a segment is in the ranges; nil ranges are all ids.
func outside(ranges []IDRange, info *columnar.Info) bool {
	for _, r := range ranges {
		if compareIDs(info.MinID, r.Last) <= 0 && compareIDs(r.First, info.MaxID) <= 0 {
			return false
		}
	}
	return ranges != nil
}

// within reports that all ids of a segment are in one of the ranges.
func within(ranges []IDRange, info *columnar.Info) bool {
	for _, r := range ranges {
		if r.has(info.MinID) && r.has(info.MaxID) {
			return true
		}
	}
	return ranges == nil
}

func inIDs(ranges []IDRange, id trace.ID) bool {
	for _, r := range ranges {
		if r.has(id) {
			return true
		}
	}
	return ranges == nil
}

// takeSides leaves of every piece what this evaluation answers, when the split traces are known.
func (c *cutting) takeSides(ctx context.Context, pieces []*piece, joint int) error {
	own, others := columnar.NewBitmap(joint), columnar.NewBitmap(joint)
	sides := false
	for _, p := range pieces {
		sides = sides || p.side != SideOwn
		for _, t := range p.split {
			switch p.side {
			case SideOthers:
				others.Set(uint32(t.joint))
			case SideOwn, SideShared:
				own.Set(uint32(t.joint))
			case SideHelp, SideYoung:
			}
		}
	}
	if !sides || c.held {
		return nil
	}
	if err := c.takeYoung(ctx, pieces, own); err != nil {
		return err
	}
	for _, p := range pieces {
		switch p.side {
		case SideHelp:
			p.keepSplit(func(joint uint32) bool { return own.Has(joint) })
		case SideShared:
			p.dropSplit(func(joint uint32) bool { return others.Has(joint) })
		case SideOthers:
			p.keepSplit(func(uint32) bool { return false })
		case SideOwn, SideYoung:
		}
	}
	return nil
}

// takeYoung leaves of young pieces the traces that are in own, by joint number, and those of the tokens, which it adds.
func (c *cutting) takeYoung(ctx context.Context, pieces []*piece, own columnar.Bitmap) error {
	before := own.Clone()
	for _, p := range pieces {
		if p.side != SideYoung {
			continue
		}
		t, err := p.load(ctx)
		if err != nil {
			return err
		}
		kept := c.withTokens(t)
		for _, x := range p.split {
			switch {
			case kept.Has(x.number):
				own.Set(uint32(x.joint))
			case before.Has(uint32(x.joint)):
				kept.Set(x.number)
			}
		}
		p.keep(kept)
	}
	return nil
}

// withTokens is the traces with the tokens of young pieces, of the candidates if these are known.
func (c *cutting) withTokens(t *columnar.Traces) columnar.Bitmap {
	kept := columnar.NewBitmap(len(t.IDs))
	if c.only == nil {
		for i, id := range t.IDs {
			if c.young.has(trace.Token(c.tenant, id)) {
				kept.Set(uint32(i))
			}
		}
		return kept
	}
	for id := range c.only {
		if i, ok := slices.BinarySearchFunc(t.IDs, id, compareIDs); ok && c.young.has(trace.Token(c.tenant, id)) {
			kept.Set(uint32(i))
		}
	}
	return kept
}

// youngFirst puts the young pieces in front: what they have is not counted again.
func youngFirst(pieces []*piece) {
	sort.SliceStable(pieces, func(i, j int) bool { return pieces[i].side == SideYoung && pieces[j].side != SideYoung })
}

// shareYoung leaves of young pieces the rows of the tokens, when own pieces no longer have copies of the others.
func (c *cutting) shareYoung(ctx context.Context, pieces []*piece) error {
	for _, p := range pieces {
		if p.side != SideYoung || c.tokens == nil {
			continue
		}
		before := p.live
		if err := c.maskTo(ctx, p, c.tokens); err != nil {
			return err
		}
		if before != nil {
			p.live.And(before)
		}
	}
	return nil
}

// keep leaves only some traces, by their number in the piece.
func (p *piece) keep(kept columnar.Bitmap) {
	live := columnar.NewBitmap(p.info.Rows)
	var rows []uint32
	for t, ok := kept.Next(0); ok; t, ok = kept.Next(t + 1) {
		rows = p.appendRows(t, rows[:0])
		for _, row := range rows {
			live.Set(row)
		}
	}
	p.split = slices.DeleteFunc(p.split, func(t splitTrace) bool { return !kept.Has(t.number) })
	p.live = live
}

// keepSplit leaves only the split traces for which keep says yes.
func (p *piece) keepSplit(keep func(joint uint32) bool) {
	kept := columnar.NewBitmap(p.numbers())
	for _, t := range p.split {
		if keep(uint32(t.joint)) {
			kept.Set(t.number)
		}
	}
	p.keep(kept)
}

// numbers is above the number of every split trace.
func (p *piece) numbers() int {
	n := 0
	for _, t := range p.split {
		n = max(n, int(t.number)+1)
	}
	return n
}

// dropSplit takes the split traces away for which drop says yes.
func (p *piece) dropSplit(drop func(joint uint32) bool) {
	left := p.split[:0]
	var rows []uint32
	for _, t := range p.split {
		if !drop(uint32(t.joint)) {
			left = append(left, t)
			continue
		}
		p.ensureLive()
		rows = p.appendRows(t.number, rows[:0])
		for _, row := range rows {
			p.live.Unset(row)
		}
	}
	p.split = left
}

// LooksAtWholeTraces reports a query for which the parts of a trace cannot be answered apart: what it says about a span
// or a trace depends on other spans. A text that is not a query does not.
func LooksAtWholeTraces(text string) bool {
	q, err := traceql.Parse(text)
	if err != nil {
		return false
	}
	if q.Metric == nil {
		return needsWhole(q.Pipeline)
	}
	legs, err := legsOf(nil, q.Metric)
	if err != nil {
		return false
	}
	for _, l := range legs {
		if l.whole {
			return true
		}
	}
	return false
}

func compareIDs(a, b trace.ID) int { return bytes.Compare(a[:], b[:]) }
