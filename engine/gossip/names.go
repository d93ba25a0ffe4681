package gossip

import "github.com/ringctl/ringctl/engine/gossip/wire"

// The values that members exchange, under the names that most programs need. The rest of the format is in package wire.
type (
	// Pair is one key and its value as it travels.
	Pair = wire.Pair
	// Node is one gossip member.
	Node = wire.Node
	// NodeState is how a member looks to the one that was asked.
	NodeState = wire.NodeState
	// Meta is what a node says about itself in its metadata.
	Meta = wire.Meta
	// Role is a node's part in zone-aware routing.
	Role = wire.Role
)

// The states of a node and the roles of zone-aware routing.
const (
	NodeAlive   = wire.NodeAlive
	NodeSuspect = wire.NodeSuspect
	NodeDead    = wire.NodeDead
	NodeLeft    = wire.NodeLeft

	RoleMember = wire.RoleMember
	RoleBridge = wire.RoleBridge
)

// The compression algorithms of Config.CompressionAlgorithm.
const (
	CompressionLZW    = wire.CompressionLZW
	CompressionSnappy = wire.CompressionSnappy
)

// ParseMeta reads the metadata bytes of a node.
func ParseMeta(b []byte) Meta { return wire.ParseMeta(b) }

// AppendMeta appends the metadata bytes of m to b.
func AppendMeta(b []byte, m Meta) ([]byte, error) { return wire.AppendMeta(b, m) }
