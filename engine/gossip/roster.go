package gossip

import (
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// roster is our own list of the living members, kept from memberlist's events. memberlist's list hands out pointers to
// what it goes on changing.
type roster struct {
	mu     sync.Mutex
	nodes  map[string]memberlist.Node
	notify func(Node) // called with memberlist's lock held: it must not block or call memberlist; may be nil
}

func newRoster(notify func(Node)) *roster {
	return &roster{nodes: map[string]memberlist.Node{}, notify: notify}
}

func nodeOf(n *memberlist.Node) Node {
	return Node{
		Name: n.Name, Addr: wire.HostPort(n.Addr, int(n.Port)), State: NodeAlive, Meta: wire.ParseMeta(n.Meta),
		PMin: n.PMin, PMax: n.PMax, PCur: n.PCur, DMin: n.DMin, DMax: n.DMax, DCur: n.DCur,
	}
}

func (r *roster) set(n *memberlist.Node, state NodeState) {
	r.mu.Lock()
	if state == NodeAlive {
		r.nodes[n.Name] = *n
	} else {
		delete(r.nodes, n.Name)
	}
	r.mu.Unlock()
	if r.notify != nil {
		node := nodeOf(n)
		node.State = state
		r.notify(node)
	}
}

// NotifyJoin implements memberlist.EventDelegate.
func (r *roster) NotifyJoin(n *memberlist.Node) { r.set(n, NodeAlive) }

// NotifyUpdate implements memberlist.EventDelegate.
func (r *roster) NotifyUpdate(n *memberlist.Node) { r.set(n, NodeAlive) }

// NotifyLeave implements memberlist.EventDelegate. It does not say whether the member left or died.
func (r *roster) NotifyLeave(n *memberlist.Node) { r.set(n, NodeDead) }

// alive returns the living members, sorted by name.
func (r *roster) alive() []Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Node, 0, len(r.nodes))
	for _, n := range r.nodes {
		out = append(out, nodeOf(&n))
	}
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (r *roster) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.nodes)
}

// others returns the members other than self in memberlist's form.
func (r *roster) others(self string) []*memberlist.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*memberlist.Node, 0, len(r.nodes))
	for name, n := range r.nodes {
		if name != self {
			out = append(out, &n)
		}
	}
	return out
}
