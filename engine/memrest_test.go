package engine

import "testing"

func TestAtRest(t *testing.T) {
	const mb = 1 << 20
	busy := memoryUse{allocated: 5000 * mb, objects: 300 * mb, live: 200 * mb, free: 10 * mb}
	for _, tt := range []struct {
		name string
		now  memoryUse
		want bool
	}{
		{"garbage and nothing to do", memoryUse{5001 * mb, 301 * mb, 200 * mb, 10 * mb}, true},
		{"free memory and nothing to do", memoryUse{5001 * mb, 200 * mb, 200 * mb, 100 * mb}, true},
		{"at work", memoryUse{5100 * mb, 300 * mb, 200 * mb, 100 * mb}, false},
		{"little to give", memoryUse{5001 * mb, 220 * mb, 200 * mb, 10 * mb}, false},
		{"more was live than is there", memoryUse{5001 * mb, 150 * mb, 200 * mb, 10 * mb}, false},
	} {
		if got := atRest(busy, tt.now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// The names of the runtime's numbers are right.
func TestReadMemory(t *testing.T) {
	m := readMemory()
	if m.allocated == 0 || m.objects == 0 || m.allocated < m.objects {
		t.Errorf("%+v", m)
	}
}
