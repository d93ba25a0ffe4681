package engine

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryLimit is the memory that the process should stay within, 0 for no bound,
// and where the number is from. GOMEMLIMIT, which the runtime reads itself, wins
// over the configuration, and that over the control group. root is the file
// system of the machine.
func memoryLimit(c MemoryConfig, goMemLimit string, root fs.FS) (limit int64, from string) {
	switch {
	case goMemLimit != "":
		return 0, ""
	case c.Limit > 0:
		return c.Limit, "memory.limit"
	case !c.Auto:
		return 0, ""
	}
	group := groupLimit(root)
	return int64(float64(group) * c.Ratio), fmt.Sprintf("%.0f%% of the control group", 100*c.Ratio)
}

// boundMemory tells the runtime how much it may have. Near the bound it collects
// garbage more often and gives freed memory back to the system at once; it never
// refuses memory.
func boundMemory(c MemoryConfig, goMemLimit string, root fs.FS, log *slog.Logger) {
	if limit, from := memoryLimit(c, goMemLimit, root); limit > 0 {
		debug.SetMemoryLimit(limit)
		log.Info("soft bound of memory", "bytes", limit, "from", from)
	}
}

// groupLimit is the memory limit of this process's control group, or of the
// strictest group around it; 0 for none. Both versions of control groups are
// understood. In a container the path of the group is often one of the host, and
// the files of the group are at the root.
func groupLimit(root fs.FS) int64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "":
			least = min(least, strictest(root, "sys/fs/cgroup", group, "memory.max"))
		case strings.Contains(","+controllers+",", ",memory,"):
			least = min(least, strictest(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
		}
	}
	if least >= noLimit {
		return 0
	}
	return least
}

// noLimit is less than what version 1 has for none.
const noLimit = 1 << 60

// strictest is the least number in the files of a group and the groups around it.
func strictest(root fs.FS, mount, group, file string) int64 {
	least := int64(math.MaxInt64)
	for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
		text, err := fs.ReadFile(root, path.Join(mount, dir, file))
		if n, numErr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && numErr == nil && n > 0 {
			least = min(least, n)
		}
		if dir == "/" {
			return least
		}
	}
}

// The cache of what blocks decode takes an eighth of the memory unless the
// configuration says otherwise, and something between these.
const (
	leastCache = 64 << 20
	usualCache = 256 << 20 // where nobody tells how much memory there is
	mostCache  = 4 << 30
)

// cacheBytes is the size of that cache: as configured, or by the soft limit of
// the process (math.MaxInt64 for none), or by the memory of the machine.
func cacheBytes(configured, softLimit int64, root fs.FS) int64 {
	if configured > 0 {
		return configured
	}
	memory := softLimit
	if memory == math.MaxInt64 {
		memory = machineMemory(root)
	}
	if memory == 0 {
		return usualCache
	}
	return min(max(memory/8, leastCache), mostCache)
}

// machineMemory is the memory of the machine; 0 when the system does not tell it
// this way.
func machineMemory(root fs.FS) int64 {
	info, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemTotal: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
