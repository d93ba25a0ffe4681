package ring

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// QuorumReport says how far a ring is from losing keys for one operation.
type QuorumReport struct {
	// Ranges is the number of token ranges, each with one replica set.
	Ranges int
	// Worst is the smallest margin of any range: the number of further healthy
	// replicas it can lose and still work. Negative: it does not work now, and
	// that many replicas must come back. Meaningless without ranges.
	Worst int
	// Margins counts the ranges by margin, smallest first.
	Margins []Margin
	// Lost are the ranges without quorum, grouped by the unhealthy instances
	// that cause it, most keys first.
	Lost []LostQuorum
	// Whole is the margin of the whole ring, which limits operations over all
	// keys: how many instances (with zone awareness: zones) may still fail.
	Whole int
	// WholeErr is why such an operation fails now, nil if it works.
	WholeErr error
}

// Margin is a group of token ranges with the same number of spare replicas.
type Margin struct {
	Margin int
	Ranges int
	Keys   uint64
}

// LostQuorum is a group of token ranges that do not reach their quorum.
type LostQuorum struct {
	// Unhealthy are the unhealthy members of these replica sets, sorted.
	Unhealthy []string
	// Missing is the number of healthy replicas that the worst range lacks.
	Missing int
	Ranges  int
	Keys    uint64
	// Example is one of the ranges.
	Example TokenRange
}

// LostKeys is the number of keys without quorum.
func (q *QuorumReport) LostKeys() uint64 {
	n := uint64(0)
	for _, l := range q.Lost {
		n += l.Keys
	}
	return n
}

// OK tells whether every key has its quorum and, for operations over the whole
// ring, enough instances are healthy.
func (q *QuorumReport) OK() bool { return q.Ranges > 0 && len(q.Lost) == 0 && q.WholeErr == nil }

// Quorum judges every token range of the ring for op at now.
func (r *Ring) Quorum(op Operation, now time.Time) QuorumReport {
	var q QuorumReport
	q.Whole, q.WholeErr = r.wholeMargin(op, now)
	points := r.topo.index.points
	oldest := oldestHealthy(r.cfg.HeartbeatTimeout, now)
	margins, lost := map[int]*Margin{}, map[string]*LostQuorum{}
	var room [smallWalk]uint32
	for n, p := range points {
		keys := TokenRange{First: points[(n+len(points)-1)%len(points)].Token, Last: p.Token - 1}
		size := uint64(p.Token - keys.First)
		if len(points) == 1 {
			size = uint64(keySpace)
		}
		owners := r.walk(n, op, r.cfg.ReplicationFactor, room[:0])
		healthy := 0
		for _, o := range owners {
			if v := &r.vitals[o]; v.state&op != 0 && v.timestamp >= oldest {
				healthy++
			}
		}
		margin := healthy - r.need(r.cfg.ReplicationFactor, len(owners))
		m := margins[margin]
		if m == nil {
			m = &Margin{Margin: margin}
			margins[margin] = m
		}
		m.Ranges++
		m.Keys += size
		if margin < 0 {
			r.noteLost(lost, owners, op, oldest, -margin, keys, size)
		}
	}
	q.Ranges = len(points)
	q.Margins, q.Lost = sortMargins(margins), sortLost(lost)
	if len(q.Margins) > 0 {
		q.Worst = q.Margins[0].Margin
	}
	return q
}

func (r *Ring) wholeMargin(op Operation, now time.Time) (int, error) {
	set, err := r.ReplicationSetForOperation(op, now)
	switch {
	case err != nil:
		return -1, err
	case set.ZoneAware:
		return set.MaxUnavailableZones, nil
	}
	return set.MaxErrors, nil
}

func (r *Ring) noteLost(lost map[string]*LostQuorum, owners []uint32, op Operation, oldest int64, missing int, keys TokenRange, size uint64) {
	var sick []uint32
	for _, o := range owners {
		if v := &r.vitals[o]; v.state&op == 0 || v.timestamp < oldest {
			sick = append(sick, o)
		}
	}
	slices.Sort(sick) // instances are sorted by id, so this sorts the ids
	var key []byte
	for _, o := range sick {
		key = binary.BigEndian.AppendUint32(key, o)
	}
	l := lost[string(key)]
	if l == nil {
		l = &LostQuorum{Example: keys}
		for _, o := range sick {
			l.Unhealthy = append(l.Unhealthy, r.instances[o].ID)
		}
		lost[string(key)] = l
	}
	l.Missing = max(l.Missing, missing)
	l.Ranges++
	l.Keys += size
}

func sortMargins(m map[int]*Margin) []Margin {
	var out []Margin
	for _, v := range m {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b Margin) int { return cmp.Compare(a.Margin, b.Margin) })
	return out
}

func sortLost(m map[string]*LostQuorum) []LostQuorum {
	var out []LostQuorum
	for _, v := range m {
		out = append(out, *v)
	}
	slices.SortFunc(out, func(a, b LostQuorum) int {
		return cmp.Or(cmp.Compare(b.Keys, a.Keys), slices.Compare(a.Unhealthy, b.Unhealthy))
	})
	return out
}
