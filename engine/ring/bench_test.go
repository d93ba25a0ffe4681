package ring

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

var benchNow = time.Unix(1755800000, 0)

// benchDesc is a ring of n instances in three zones with random tokens.
func benchDesc(n, tokens int) *Desc {
	rng := rand.New(rand.NewPCG(1, 2))
	taken := map[uint32]bool{}
	d := NewDesc()
	for k := range n {
		i := Instance{
			ID: fmt.Sprintf("ingester-zone-%c-%d", 'a'+k%3, k/3), Addr: fmt.Sprintf("10.0.%d.%d:9095", k/250, k%250),
			Zone: fmt.Sprintf("zone-%c", 'a'+k%3), Timestamp: benchNow.Unix() - int64(k%15), RegisteredTimestamp: 1755000000,
		}
		for len(i.Tokens) < tokens {
			if t := rng.Uint32(); !taken[t] {
				taken[t] = true
				i.Tokens = append(i.Tokens, t)
			}
		}
		i.Tokens = normalTokens(&i)
		d.Instances[i.ID] = i
	}
	return d
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100, 1000} {
		d := benchDesc(n, 512)
		for _, aware := range []bool{false, true} {
			r := New(d, Config{ReplicationFactor: 3, ZoneAwareness: aware, HeartbeatTimeout: time.Minute})
			keys := make([]uint32, 1<<16)
			rng := rand.New(rand.NewPCG(3, 4))
			for k := range keys {
				keys[k] = rng.Uint32()
			}
			b.Run(fmt.Sprintf("%dx512/RF3/zone_aware=%v", n, aware), func(b *testing.B) {
				b.ReportAllocs()
				var buf [8]*Instance
				for k := 0; b.Loop(); k++ {
					if _, err := r.Get(keys[k&0xffff], Write, benchNow, buf[:0]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	d := benchDesc(1000, 512)
	cfg := Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute}
	b.Run("topology_change", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			New(d, cfg)
		}
	})
	prev := New(d, cfg)
	b.Run("heartbeats", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			WithHeartbeats(prev, d)
		}
	})
	decoded, err := DecodeValue(EncodeValue(d))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("heartbeats_decoded", func(b *testing.B) { // no token slice in common
		b.ReportAllocs()
		for b.Loop() {
			WithHeartbeats(prev, decoded)
		}
	})
	b.Run("ownership", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prev.Ownership()
		}
	})
	b.Run("shuffle_shard_30", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prev.ShuffleShard("tenant", 30)
		}
	})
	b.Run("quorum", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			prev.Quorum(Write, benchNow)
		}
	})
}

func BenchmarkMerge(b *testing.B) {
	base := benchDesc(1000, 512)
	one := func(f func(*Instance)) *Desc {
		i := base.Instances["ingester-zone-b-7"]
		f(&i)
		return &Desc{Instances: map[string]Instance{i.ID: i}}
	}
	all := base.Clone()
	for id, i := range all.Instances {
		i.Timestamp += 100
		all.Instances[id] = i
	}
	rng := rand.New(rand.NewPCG(5, 6))
	fresh := RandomTokens(512, base.Tokens(), rng)
	taken := base.Instances["ingester-zone-c-9"].Tokens[100]
	clash := append([]uint32{taken}, fresh...)
	cases := []struct {
		name string
		in   *Desc
	}{
		{"heartbeat_of_1", one(func(i *Instance) { i.Timestamp += 100 })},
		{"full_state_no_change", base.Clone()},
		{"full_state_all_heartbeats_newer", all},
		{"new_tokens_of_1_without_conflict", one(func(i *Instance) { i.Timestamp += 100; i.Tokens = fresh })},
		{"new_instance_with_one_conflict", &Desc{Instances: map[string]Instance{"new": {Timestamp: 1755800100, Tokens: clash}}}},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			cur := base.Clone()
			touched := make(map[string]Instance, len(c.in.Instances))
			for id := range c.in.Instances {
				touched[id] = base.Instances[id]
			}
			touched["ingester-zone-c-9"] = base.Instances["ingester-zone-c-9"]
			for b.Loop() {
				if c.name == "heartbeat_of_1" { // ever newer, nothing to put back
					i := c.in.Instances["ingester-zone-b-7"]
					i.Timestamp++
					c.in.Instances[i.ID] = i
				}
				Merge(cur, c.in, false, benchNow)
				if c.name == "full_state_no_change" || c.name == "heartbeat_of_1" {
					continue
				}
				for id, i := range touched { // put back, cheap beside a merge of many
					cur.Instances[id] = i
				}
				if _, ok := base.Instances["new"]; !ok {
					delete(cur.Instances, "new")
				}
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	d := benchDesc(1000, 512)
	plain, err := d.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	value := EncodeValue(d)
	b.Run("marshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.MarshalBinary(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			EncodeValue(d)
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Unmarshal(plain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeValue(value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			d.Hash()
		}
	})
}

func BenchmarkSpreadMinimizing(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("instance_%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := SpreadMinimizing(n, 0, 512, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory reports what a ring keeps alive, the Desc it was made from
// included, as a metric; the time means nothing.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		d := benchDesc(1000, 512)
		withDesc := heap()
		r := New(d, Config{ReplicationFactor: 3, ZoneAwareness: true})
		withRing := heap()
		b.ReportMetric(float64(withDesc-before)/(1<<20), "MB_desc")
		b.ReportMetric(float64(withRing-before)/(1<<20), "MB_ring_and_desc")
		runtime.KeepAlive(d)
		runtime.KeepAlive(r)
	}
}
