package ring

import (
	"cmp"
	"encoding/binary"
	"maps"
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
	// that cause it, most keys first. Where there are many groups the small
	// ones come combined, as the last.
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
	// Unhealthy are the unhealthy members of these replica sets, sorted. When
	// Combined is set they are the members of many different sets.
	Unhealthy []string
	Combined  bool
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

// Quorum judges every token range of the ring for op at now. It follows a
// replica set for 16 members, or four times the replication factor: when so many
// instances are in a state that op replaces, for example a whole zone that is
// leaving, margins are a bound instead of exact.
func (r *Ring) Quorum(op Operation, now time.Time) QuorumReport {
	var q QuorumReport
	q.Whole, q.WholeErr = r.wholeMargin(op, now)
	points := r.topo.index.points
	q.Ranges = len(points)
	j := quorumJudge{r: r, op: op, oldest: oldestHealthy(r.cfg.HeartbeatTimeout, now)}
	most := max(smallWalk, 4*r.cfg.ReplicationFactor)
	var room [smallWalk]uint32
	prev := uint32(0)
	if len(points) > 0 {
		prev = points[len(points)-1].token()
	}
	for n, p := range points {
		keys := uint64(p.token() - prev)
		if len(points) == 1 {
			keys = uint64(keySpace)
		}
		j.judge(r.walk(n, op, r.cfg.ReplicationFactor, most, room[:0]), TokenRange{First: prev, Last: p.token() - 1}, keys)
		prev = p.token()
	}
	q.Margins, q.Lost = j.margins, j.groups()
	slices.SortFunc(q.Margins, func(a, b Margin) int { return cmp.Compare(a.Margin, b.Margin) })
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

// quorumJudge adds up what is found range by range.
type quorumJudge struct {
	r       *Ring
	op      Operation
	oldest  int64
	margins []Margin
	lost    map[string]*lostGroup // by the numbers of the unhealthy members
	rest    lostGroup             // what did not fit into lost
}

// lostGroup is a LostQuorum with numbers of instances in place of ids.
type lostGroup struct {
	LostQuorum
	sick []uint32
}

func (g *lostGroup) add(missing, ranges int, keys uint64, example TokenRange) {
	if g.Ranges == 0 {
		g.Example = example
	}
	g.Missing = max(g.Missing, missing)
	g.Ranges += ranges
	g.Keys += keys
}

const (
	maxLostGroups   = 1 << 12 // told apart while judging
	shownLostGroups = 64      // reported one by one
)

func (j *quorumJudge) healthy(owner uint32) bool {
	v := &j.r.vitals[owner]
	return v.state&j.op != 0 && v.timestamp >= j.oldest
}

func (j *quorumJudge) judge(owners []uint32, keys TokenRange, size uint64) {
	healthy := 0
	for _, o := range owners {
		if j.healthy(o) {
			healthy++
		}
	}
	margin := healthy - j.r.need(j.r.cfg.ReplicationFactor, len(owners))
	at := slices.IndexFunc(j.margins, func(m Margin) bool { return m.Margin == margin })
	if at < 0 {
		at = len(j.margins)
		j.margins = append(j.margins, Margin{Margin: margin})
	}
	j.margins[at].Ranges++
	j.margins[at].Keys += size
	if margin < 0 {
		j.lose(owners, -margin, keys, size)
	}
}

func (j *quorumJudge) lose(owners []uint32, missing int, keys TokenRange, size uint64) {
	var room [smallWalk]uint32
	sick := room[:0]
	for _, o := range owners {
		if !j.healthy(o) {
			sick = append(sick, o)
		}
	}
	slices.Sort(sick) // instances are sorted by id, so this sorts the ids
	var keyRoom [4 * smallWalk]byte
	key := keyRoom[:0]
	for _, o := range sick {
		key = binary.BigEndian.AppendUint32(key, o)
	}
	g := j.lost[string(key)]
	switch {
	case g == nil && len(j.lost) == maxLostGroups:
		g = &j.rest
		g.include(sick)
	case g == nil:
		if j.lost == nil {
			j.lost = map[string]*lostGroup{}
		}
		g = &lostGroup{sick: slices.Clone(sick)}
		j.lost[string(key)] = g
	}
	g.add(missing, 1, size, keys)
}

// include adds numbers to the sorted sick.
func (g *lostGroup) include(sick []uint32) {
	for _, o := range sick {
		if at, found := slices.BinarySearch(g.sick, o); !found {
			g.sick = slices.Insert(g.sick, at, o)
		}
	}
}

// groups gives the lost groups, the largest first and the small ones combined.
func (j *quorumJudge) groups() []LostQuorum {
	all := slices.Collect(maps.Values(j.lost))
	slices.SortFunc(all, func(a, b *lostGroup) int {
		return cmp.Or(cmp.Compare(b.Keys, a.Keys), slices.Compare(a.sick, b.sick))
	})
	rest := &j.rest
	for len(all) > shownLostGroups {
		g := all[len(all)-1]
		all = all[:len(all)-1]
		rest.add(g.Missing, g.Ranges, g.Keys, g.Example)
		rest.include(g.sick)
	}
	if rest.Ranges > 0 {
		rest.Combined = true
		all = append(all, rest)
	}
	var out []LostQuorum
	for _, g := range all {
		for _, o := range g.sick {
			g.Unhealthy = append(g.Unhealthy, j.r.instances[o].ID)
		}
		out = append(out, g.LostQuorum)
	}
	return out
}
