package trace

import "hash/fnv"

func token(tenant string, id ID) uint32 {
	h := fnv.New32()
	h.Write([]byte(tenant))
	h.Write(id[:])
	return h.Sum32()
}
