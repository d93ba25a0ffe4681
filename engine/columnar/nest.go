package columnar

// OTLP span kinds that [Nester] tells apart.
const (
	kindServer = 2
	kindClient = 3
)

// Nester numbers the spans of a trace as a nested set: a span's interval (left, right) lies inside the intervals of its
// ancestors and of nobody else. Writers of blocks and the evaluation use the same rules:
//
//   - A span without a parent id is a root: parent -1. A trace may have several.
//   - A span whose parent is not in the trace is an orphan: parent 0 (not known). It starts a tree of its own.
//   - Two spans with one id, one client and one server (Zipkin's shared ids): the server's parent is the client, and the
//     children of that id are children of the server.
//   - Of other spans with one id the first is the parent of the children.
//   - Spans on a cycle of parents, and below it, have left = right = parent = 0 and are related to nothing.
//   - Numbers start at 1: first the roots, then the orphans, children by their order in the input (start time).
//
// The zero value is ready. Not safe for concurrent use.
type Nester struct {
	slots             []uint32 // open addressing: index+1 of the span that owns an id
	up, child, next   []int32  // tree links as indices, -1 = none
	stack             []int32
	shared            map[uint64]int32 // id used by a client and a server: the client
	ids               []uint64
	left, right, outp []int32
	n                 int32
}

// Nest numbers one trace: the slices are parallel, one entry per span; left, right and parent are written.
func (n *Nester) Nest(ids, parents []uint64, kinds []uint8, left, right, parent []int32) {
	m := len(ids)
	n.ids, n.left, n.right, n.outp, n.n = ids, left, right, parent, 0
	n.index(ids, kinds)
	n.link(parents, kinds)
	clear(left)
	clear(right)
	clear(parent)
	for i := range m {
		if n.up[i] == -1 && parents[i] == 0 {
			n.number(int32(i), -1)
		}
	}
	for i := range m {
		if n.up[i] == -1 && parents[i] != 0 {
			n.number(int32(i), 0)
		}
	}
}

// index fills slots so that an id leads to the span its children hang below, and notes the clients of shared ids.
func (n *Nester) index(ids []uint64, kinds []uint8) {
	size := 8
	for size < 2*len(ids) {
		size *= 2
	}
	n.slots = sized(n.slots, size)
	clear(n.slots)
	clear(n.shared)
	for i, id := range ids {
		at := n.slot(id)
		owner := n.slots[at]
		switch {
		case owner == 0:
			n.slots[at] = uint32(i) + 1
		case kinds[i] == kindServer && kinds[owner-1] == kindClient:
			n.slots[at] = uint32(i) + 1
			n.share(id, int32(owner-1))
		case kinds[i] == kindClient && kinds[owner-1] == kindServer:
			n.share(id, int32(i))
		}
	}
}

func (n *Nester) share(id uint64, client int32) {
	if n.shared == nil {
		n.shared = make(map[uint64]int32)
	}
	if _, ok := n.shared[id]; !ok {
		n.shared[id] = client
	}
}

func (n *Nester) slot(id uint64) int {
	mask := len(n.slots) - 1
	at := int(id*0x9E3779B97F4A7C15>>32) & mask
	for n.slots[at] != 0 && n.ids[n.slots[at]-1] != id {
		at = (at + 1) & mask
	}
	return at
}

// link sets up, child and next. Children are linked from the last to the first so that lists are in input order.
func (n *Nester) link(parents []uint64, kinds []uint8) {
	m := len(parents)
	n.up, n.child, n.next = sized(n.up, m), sized(n.child, m), sized(n.next, m)
	for i := range m {
		n.child[i] = -1
	}
	for i := m - 1; i >= 0; i-- {
		p := n.parentOf(i, parents[i], kinds)
		n.up[i], n.next[i] = p, -1
		if p >= 0 {
			n.next[i] = n.child[p]
			n.child[p] = int32(i)
		}
	}
}

func (n *Nester) parentOf(i int, parent uint64, kinds []uint8) int32 {
	if kinds[i] == kindServer && len(n.shared) > 0 {
		if client, ok := n.shared[n.ids[i]]; ok {
			return client
		}
	}
	if parent == 0 {
		return -1
	}
	if owner := n.slots[n.slot(parent)]; owner != 0 {
		return int32(owner - 1)
	}
	return -1
}

// number walks one tree and gives out intervals.
func (n *Nester) number(root, parent int32) {
	n.stack = append(n.stack[:0], root)
	n.outp[root] = parent
	for len(n.stack) > 0 {
		at := n.stack[len(n.stack)-1]
		if n.left[at] == 0 {
			n.n++
			n.left[at] = n.n
		}
		if c := n.child[at]; c >= 0 { // next unvisited child
			n.child[at] = n.next[c]
			n.outp[c] = n.left[at]
			n.stack = append(n.stack, c)
			continue
		}
		n.n++
		n.right[at] = n.n
		n.stack = n.stack[:len(n.stack)-1]
	}
}
