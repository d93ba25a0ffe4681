package query

import (
	"fmt"
	"math"

	"github.com/ringctl/ringctl/engine/traceql"
)

// Numbers per step are mostly whole, small and often 0: runs of zeros are written as their length, whole numbers as
// varints, others as eight bytes.
const (
	numbersEnd   = iota // nothing more
	numbersZero         // count of zeros
	numbersWhole        // count, then varints
	numbersFloat        // count, then floats
)

func numberKind(f float64) int {
	switch {
	case f == 0 && !math.Signbit(f):
		return numbersZero
	case f == math.Trunc(f) && math.Abs(f) < 1<<53 && f != 0:
		return numbersWhole
	}
	return numbersFloat
}

func (e *encoder) numbers(list []float64) {
	for len(list) > 0 {
		kind, n := numberKind(list[0]), 1
		for n < len(list) && numberKind(list[n]) == kind {
			n++
		}
		e.b = append(e.b, byte(kind))
		e.count(n)
		for _, f := range list[:n] {
			switch kind {
			case numbersWhole:
				e.int(int64(f))
			case numbersFloat:
				e.float(f)
			}
		}
		list = list[n:]
	}
	e.b = append(e.b, numbersEnd)
}

// numbers reads at most limit numbers.
func (d *decoder) numbers(limit int) []float64 {
	var list []float64
	for !d.bad {
		kind := d.fixed(1)[0]
		if kind == numbersEnd {
			return list
		}
		n := d.uvarint()
		if d.bad || kind > numbersFloat || n > uint64(limit-len(list)) {
			d.fail()
			return nil
		}
		for range n {
			f := 0.0
			switch kind {
			case numbersWhole:
				f = float64(d.int())
			case numbersFloat:
				f = d.float()
			}
			if d.bad {
				return nil
			}
			list = append(list, f)
		}
	}
	return nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (r *MetricsResult) MarshalBinary() ([]byte, error) {
	var e encoder
	e.count(resultVersion)
	e.stats(&r.Stats)
	e.texts(r.Partial)
	e.int(r.Start)
	e.int(r.Step)
	e.count(r.Steps)
	e.count(r.Exemplars)
	e.count(len(r.Legs))
	for i := range r.Legs {
		e.leg(&r.Legs[i])
	}
	return e.b, nil
}

func (e *encoder) leg(l *MetricsLeg) {
	e.b = append(e.b, byte(l.Func))
	e.count(len(l.Series))
	for i := range l.Series {
		s := &l.Series[i]
		e.attrs(s.Labels)
		e.numbers(s.Counts)
		e.numbers(s.Values)
		e.count(len(s.Buckets))
		step := uint32(0)
		for _, b := range s.Buckets {
			e.count(int(b.Step - step)) // sorted by step
			e.count(int(b.Bucket))
			e.count(int(b.Count))
			step = b.Step
		}
	}
	e.count(len(l.Exemplars))
	for i := range l.Exemplars {
		x := &l.Exemplars[i]
		e.attrs(x.Labels)
		e.fixed(x.Trace[:])
		e.int(x.Time)
		e.float(x.Value)
	}
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Memory is bounded by the input and the bounds on series.
func (r *MetricsResult) UnmarshalBinary(b []byte) error {
	d := decoder{b: b}
	if err := d.version(); err != nil {
		return err
	}
	*r = MetricsResult{}
	d.stats(&r.Stats)
	r.Partial = d.texts()
	r.Start, r.Step = d.int(), d.int()
	steps, exemplars := d.uvarint(), d.uvarint()
	if steps > MaxIntervals+2 || exemplars > MaxExemplars {
		return fmt.Errorf("%w: %d steps, %d exemplars", ErrResult, steps, exemplars)
	}
	r.Steps, r.Exemplars = int(steps), int(exemplars)
	room := 4 * maxCells
	for range d.count() {
		r.Legs = append(r.Legs, d.leg(r.Steps, &room))
	}
	return d.end()
}

// leg reads a leg; room is how many numbers may still come.
func (d *decoder) leg(steps int, room *int) MetricsLeg {
	l := MetricsLeg{Func: traceql.MetricFunc(d.fixed(1)[0])}
	if l.Func > traceql.Compare {
		d.fail()
		return l
	}
	for range d.count() {
		s := PartialSeries{Labels: d.attrs(), Counts: d.numbers(min(steps, *room))}
		s.Values = d.numbers(min(steps, *room))
		if *room -= len(s.Counts) + len(s.Values); *room < 0 || len(s.Values) > len(s.Counts) {
			d.fail()
			return l
		}
		s.Buckets = d.buckets(steps)
		l.Series = append(l.Series, s)
	}
	for range d.count() {
		x := Exemplar{Labels: d.attrs()}
		copy(x.Trace[:], d.fixed(len(x.Trace)))
		x.Time, x.Value = d.int(), d.float()
		l.Exemplars = append(l.Exemplars, x)
	}
	return l
}

func (d *decoder) buckets(steps int) []Bucket {
	var list []Bucket
	step := uint64(0)
	for range d.count() {
		step += min(d.uvarint(), MaxIntervals+2)
		bucket := d.uvarint()
		if step >= uint64(steps) || bucket >= numBuckets {
			d.fail()
			return nil
		}
		list = append(list, Bucket{uint32(step), uint16(bucket), d.uvarint()})
	}
	return list
}
