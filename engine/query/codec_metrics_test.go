package query

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/traceql"
)

func sampleMetrics() *MetricsResult {
	return &MetricsResult{
		Start: -1, Step: 15e9, Steps: 4, Exemplars: 3, Stats: Stats{Spans: 9}, Partial: []string{"x"},
		Legs: []MetricsLeg{{Func: traceql.AvgOverTime, Series: []PartialSeries{
			{Labels: []Attribute{{"k", trace.StringValue([]byte("v"))}}, Counts: []float64{0, 0, 3, 1 << 60}, Values: []float64{0, -7, 0.5, math.Copysign(0, -1)}},
			{Counts: []float64{1}},
		}, Exemplars: []Exemplar{{Trace: trace.ID{1}, Time: 5, Value: 2}}},
			{Func: traceql.QuantileOverTime, Series: []PartialSeries{{Buckets: []Bucket{{0, 7, 1}, {0, 9, 2}, {3, zeroBucket, 1 << 40}}}}}},
	}
}

func TestMetricsResultTravels(t *testing.T) {
	want := sampleMetrics()
	b, err := want.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var got MetricsResult
	if err := got.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(&got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, &got, want)
	}
	for n := range b {
		if err := new(MetricsResult).UnmarshalBinary(b[:n]); !errors.Is(err, ErrResult) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
}

func FuzzMetricsResult(f *testing.F) {
	b, err := sampleMetrics().MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, twice MetricsResult
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := twice.UnmarshalBinary(again); err != nil {
			t.Fatalf("what was read and written again is not readable: %v", err)
		}
		r.Merge(&twice)
	})
}

func TestBuckets(t *testing.T) {
	last := uint16(0)
	for _, f := range []float64{math.Inf(-1), -1e30, -1e9, -1.5, -1, -1e-9, 0, 1e-12, 1e-9, 0.5, 1, 1.01, 1.1, 2, 3, 1000, 1e9, 1e18, 1e30} {
		b := bucketOf(f)
		if b < last || b >= numBuckets {
			t.Errorf("%v: bucket %d after %d", f, b, last)
		}
		last = b
		lo, hi := bucketRange(b)
		if lo > hi {
			lo, hi = hi, lo
		}
		if math.Abs(f) > 1e-9 && math.Abs(f) < 1e18 && (f < lo || f > hi || math.Abs(hi-lo) > math.Abs(f)/15) {
			t.Errorf("%v: bucket from %v to %v", f, lo, hi)
		}
	}
}
