package model

import (
	"errors"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// QuorumOf judges a ring for ring.Write or ring.Read. A write asks the replicas of its key; a query asks the
// whole ring, so one range without a quorum is one failed write among many, but every failed query.
func QuorumOf(r *ring.Ring, op ring.Operation, now time.Time) *Quorum {
	q := &Quorum{Operation: "write", ZoneMargin: -1}
	if op == ring.Read {
		q.Operation = "read"
	}
	report := r.Quorum(op, now)
	q.Ranges = report.Ranges
	q.Margin = report.Worst
	for _, l := range report.Lost {
		q.RangesWithout += l.Ranges
		q.Blocking = append(q.Blocking, l.Unhealthy...)
	}
	q.Without = float64(report.LostKeys()) / (1 << 32) * 100
	q.OK = report.Ranges > 0 && len(report.Lost) == 0
	if report.Ranges == 0 {
		q.Margin, q.Error = -1, ring.ErrEmptyRing.Error()
		return q
	}
	if op == ring.Read {
		q.readMargin(&report)
	}
	if r.Config().ZoneAwareness {
		q.ZoneMargin = max(q.Margin, -1)
	}
	slices.Sort(q.Blocking)
	q.Blocking = slices.Compact(q.Blocking)
	return q
}

// readMargin replaces the margin of the worst range by that of the whole ring.
func (q *Quorum) readMargin(report *ring.QuorumReport) {
	q.Margin, q.OK = report.Whole, report.WholeErr == nil
	if q.OK {
		q.Without, q.RangesWithout, q.Blocking = 0, 0, nil
		return
	}
	q.Without = 100
	var u *ring.UnhealthyError
	if errors.As(report.WholeErr, &u) {
		q.Margin = u.Live - u.Need
		q.Blocking = append(q.Blocking, u.Unhealthy...)
		return
	}
	q.Error = report.WholeErr.Error()
}
