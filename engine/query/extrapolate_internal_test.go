package query

import "testing"

func TestWeights(t *testing.T) {
	for state, want := range map[string]float64{
		"": 1, "ot=th:0": 1, "ot=th:8": 2, "ot=th:c": 4, "ot=th:fd70a4": 1 / (1 - 0xfd70a4/float64(1<<24)), "ot=th:ffffffffffffff": maxWeight,
		"ot=rv:6e6d1a75832a2f;th:8": 2, "a=b,ot=th:c;x:1": 4, " ot=th:8 ,c=d": 2, "ot=th:": 1, "ot=th:8000000000000000": 1, "ot=th:-8": 1,
		"xot=th:8": 1, "ot=xth:8": 1, "ot=th:zz,ot=th:8": 1, "th:8": 1, "ot": 1, "ot=th:8;th:c": 2,
	} {
		if got := weightOf([]byte(state)); got < want*(1-1e-12) || got > want*(1+1e-12) {
			t.Errorf("%q: %v, want %v", state, got, want)
		}
	}
}
