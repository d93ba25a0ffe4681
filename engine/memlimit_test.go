package engine

import (
	"math"
	"testing"
	"testing/fstest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestGroupLimit(t *testing.T) {
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want int64
	}{
		{"another system", files(), 0},
		{"container, version 2", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "536870912\n"), 512 << 20},
		{"no limit, version 2", files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "max\n"), 0},
		{"a unit in a slice", files("proc/self/cgroup", "0::/system.slice/tempod.service\n", "sys/fs/cgroup/system.slice/memory.max", "1000000\n",
			"sys/fs/cgroup/system.slice/tempod.service/memory.max", "max\n"), 1_000_000},
		{"the stricter of two", files("proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/memory.max", "1000\n", "sys/fs/cgroup/a/b/memory.max", "900\n"), 900},
		{"version 1, path of the host", files("proc/self/cgroup", "9:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n"), 2000},
		{"no limit, version 1", files("proc/self/cgroup", "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"), 0},
		{"other controllers only", files("proc/self/cgroup", "4:cpuset:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "2000\n"), 0},
		{"nonsense", files("proc/self/cgroup", "4\n:\n0::../../..\nx:memory:/x\n", "sys/fs/cgroup/memory.max", "-5\n"), 0},
	} {
		if got := groupLimit(tt.root); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	group := files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "1000000000\n")
	auto := Default(TargetAll, "").Memory
	for _, tt := range []struct {
		name  string
		c     MemoryConfig
		env   string
		root  fstest.MapFS
		limit int64
		from  string
	}{
		{"by default a part of the control group", auto, "", group, 800_000_000, "80% of the control group"},
		{"no group", auto, "", files(), 0, ""},
		{"a number", MemoryConfig{Limit: 5 << 20, Auto: true, Ratio: 0.8}, "", group, 5 << 20, "memory.limit"},
		{"the runtime's own variable", MemoryConfig{Limit: 5 << 20}, "1GiB", group, 0, ""},
		{"off", MemoryConfig{}, "", group, 0, ""},
	} {
		limit, from := memoryLimit(tt.c, tt.env, tt.root)
		if limit != tt.limit || limit > 0 && from != tt.from {
			t.Errorf("%s: %d from %q, want %d from %q", tt.name, limit, from, tt.limit, tt.from)
		}
	}
}

func TestCacheBytes(t *testing.T) {
	machine := func(kib string) fstest.MapFS {
		return files("proc/meminfo", "MemTotal:       "+kib+" kB\nMemFree: 1 kB\n")
	}
	for _, tt := range []struct {
		name       string
		configured int64
		soft       int64
		root       fstest.MapFS
		want       int64
	}{
		{"an eighth of the machine", 0, math.MaxInt64, machine("16777216"), 2 << 30},
		{"an eighth of the limit", 0, 1 << 30, machine("16777216"), 128 << 20},
		{"small machine", 0, math.MaxInt64, machine("262144"), 64 << 20},
		{"large machine", 0, math.MaxInt64, machine("268435456"), 4 << 30},
		{"another system", 0, math.MaxInt64, files(), 256 << 20},
		{"nonsense", 0, math.MaxInt64, machine("many"), 256 << 20},
		{"configured", 10 << 20, 1 << 30, machine("16777216"), 10 << 20},
	} {
		if got := cacheBytes(tt.configured, tt.soft, tt.root); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
