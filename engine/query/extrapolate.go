package query

import (
	"bytes"
	"strconv"

	"github.com/ringctl/ringctl/engine/columnar"
)

// Head sampling leaves in the W3C trace state with which probability a span was kept: ot=th:c8 is a rejection threshold
// of up to 56 bits, hexadecimal, without trailing zeros (OpenTelemetry, TraceState Probability Sampling). With the hint
// extrapolate=true a span counts for as many as it stands for.

// maxWeight bounds what one span stands for, whatever its trace state claims.
const maxWeight = 1 << 32

// thresholdBits is the size of a threshold.
const thresholdBits = 56

// weightOf is the number of spans that a span with this trace state stands for: 1 when it does not say.
func weightOf(state []byte) float64 {
	for member := range bytes.SplitSeq(state, []byte(",")) {
		list, ok := bytes.CutPrefix(bytes.TrimSpace(member), []byte("ot="))
		if !ok {
			continue
		}
		for field := range bytes.SplitSeq(list, []byte(";")) {
			if th, ok := bytes.CutPrefix(field, []byte("th:")); ok {
				return weightOfThreshold(string(th))
			}
		}
	}
	return 1
}

func weightOfThreshold(th string) float64 {
	if len(th) == 0 || len(th) > thresholdBits/4 {
		return 1
	}
	n, err := strconv.ParseUint(th, 16, 64)
	if err != nil {
		return 1
	}
	n <<= thresholdBits - 4*len(th)
	const all = uint64(1) << thresholdBits
	return min(maxWeight, float64(all)/float64(all-n))
}

// weights says what the spans stand for; nil when each stands for itself.
func (s *scan) weights(rows columnar.Bitmap) (func(row uint32) float64, error) {
	states, err := s.optional(columnar.KeyTraceState, rows)
	if err != nil || states == nil {
		return nil, err
	}
	var last []byte
	weight := 1.0
	return func(row uint32) float64 {
		if text := states.Text(row); !bytes.Equal(text, last) {
			last, weight = append(last[:0], text...), weightOf(text)
		}
		return weight
	}, nil
}
