package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// The message types of memberlist that a stream of an observer carries.
const (
	MsgPushPull = 6
	MsgUser     = 8
	MsgError    = 13
)

const (
	msgPing     = 0
	msgDead     = 5
	msgCompound = 7
	msgCompress = 9
	msgHasCRC   = 12
	msgLabel    = 0xf4
)

// The first byte of a connection of the TCP transport.
const (
	ConnPacket = 1
	ConnStream = 2
)

// MaxLabel is the longest cluster label, in bytes.
const MaxLabel = 255

// MaxState is memberlist's own limit on the bytes of a user state or message.
const MaxState = 20 << 20

const (
	maxNodes     = 1 << 20 // memberlist's own limit on the nodes of one push/pull
	maxNodeBytes = 4 << 10 // one node: a name, an address, 512 bytes of metadata
	maxHeader    = 1 << 10 // a push/pull or user message header
)

// NodeState is how a member looks to the one that was asked.
type NodeState uint8

// The states of a node.
const (
	NodeAlive NodeState = iota
	NodeSuspect
	NodeDead
	NodeLeft
)

// String returns alive, suspect, dead, left or unknown(n).
func (s NodeState) String() string {
	if names := [...]string{"alive", "suspect", "dead", "left"}; int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("unknown(%d)", uint8(s))
}

// Node is one gossip member.
type Node struct {
	Name        string
	Addr        string // advertised "ip:port"
	State       NodeState
	Incarnation uint32
	Meta        Meta
	// Protocol and delegate versions: least, most and spoken ones of both.
	PMin, PMax, PCur, DMin, DMax, DCur uint8
}

// AppendPull appends a push/pull message without nodes and without user state: a question that tells the other
// side nothing and changes nothing there.
func AppendPull(b []byte) []byte {
	b = appendMapHeader(append(b, MsgPushPull), 3)
	b = appendInt(appendRaw(b, "Nodes"), 0)
	b = appendInt(appendRaw(b, "UserStateLen"), 0)
	return appendBool(appendRaw(b, "Join"), false)
}

// AppendUser appends a user message as it goes onto a stream.
func AppendUser(b, msg []byte) []byte {
	b = appendMapHeader(append(b, MsgUser), 1)
	b = appendInt(appendRaw(b, "UserMsgLen"), len(msg))
	return append(b, msg...)
}

// AppendPing appends a ping whose answer goes to the given address.
func AppendPing(b []byte, seq uint32, node string, ip net.IP, port int, from string) []byte {
	b = appendMapHeader(append(b, msgPing), 5)
	b = appendInt(appendRaw(b, "SeqNo"), int(seq))
	b = appendRaw(appendRaw(b, "Node"), node)
	b = appendRaw(appendRaw(b, "SourceAddr"), string(ip))
	b = appendInt(appendRaw(b, "SourcePort"), port)
	return appendRaw(appendRaw(b, "SourceNode"), from)
}

// FirstIncarnation is that of every member until somebody suspects it.
const FirstIncarnation = 1

// AppendDead appends the message with which a member says of itself that it left.
func AppendDead(b []byte, incarnation int, name string) []byte {
	b = appendMapHeader(append(b, msgDead), 3)
	b = appendInt(appendRaw(b, "Incarnation"), incarnation)
	b = appendRaw(appendRaw(b, "Node"), name)
	return appendRaw(appendRaw(b, "From"), name)
}

// AppendLabel appends the header of a cluster label, nothing for the empty one. Labels longer than MaxLabel do not fit.
func AppendLabel(b []byte, label string) []byte {
	if label == "" {
		return b
	}
	return append(append(b, msgLabel, byte(len(label))), label...)
}

// ReadPushPull reads a push/pull message after its type byte. The state is read into memory where that is large enough.
func ReadPushPull(r io.Reader, maxState int, memory []byte) (nodes []Node, state []byte, err error) {
	var count, size int
	err = (&mpReader{r: r, left: maxHeader}).fields(func(name string, v any) {
		switch name {
		case "Nodes":
			count = mpInt(v)
		case "UserStateLen":
			size = mpInt(v)
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("push/pull header: %w", err)
	}
	if count < 0 || count > maxNodes {
		return nil, nil, fmt.Errorf("push/pull: %d nodes announced, at most %d allowed", count, maxNodes)
	}
	if size < 0 || size > maxState {
		return nil, nil, fmt.Errorf("push/pull: %d bytes of state announced, at most %d allowed", size, maxState)
	}
	nodes = make([]Node, 0, min(count, 1024))
	for i := range count {
		n, err := readNode(r)
		if err != nil {
			return nodes, nil, fmt.Errorf("push/pull: node %d of %d: %w", i, count, err)
		}
		nodes = append(nodes, n)
	}
	body := &mpReader{r: r, left: size}
	state, err = body.takeInto(memory, size)
	if err != nil {
		return nodes, nil, fmt.Errorf("push/pull: %d bytes of state: %w", size, err)
	}
	return nodes, state, nil
}

func readNode(r io.Reader) (Node, error) {
	var n Node
	var addr []byte
	var port int
	err := (&mpReader{r: r, left: maxNodeBytes}).fields(func(name string, v any) {
		switch name {
		case "Name":
			n.Name = string(mpBytes(v))
		case "Addr":
			addr = mpBytes(v)
		case "Port":
			port = mpInt(v)
		case "Meta":
			n.Meta = ParseMeta(mpBytes(v))
		case "Incarnation":
			n.Incarnation = uint32(mpInt(v))
		case "State":
			n.State = NodeState(mpInt(v))
		case "Vsn":
			if v := mpBytes(v); len(v) >= 6 {
				n.PMin, n.PMax, n.PCur, n.DMin, n.DMax, n.DCur = v[0], v[1], v[2], v[3], v[4], v[5]
			}
		}
	})
	if n.Meta.Role == 0 {
		n.Meta = ParseMeta(nil)
	}
	n.Addr = HostPort(addr, port)
	return n, err
}

// HostPort renders the raw address bytes of a node. A 16-byte IPv4 address is shown as IPv4.
func HostPort(ip net.IP, port int) string {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return fmt.Sprintf("?:%d", port)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)).String()
}

// ReadUser reads a user message of a stream after its type byte.
func ReadUser(r io.Reader, limit int) ([]byte, error) {
	size := -1
	err := (&mpReader{r: r, left: maxHeader}).fields(func(name string, v any) {
		if name == "UserMsgLen" {
			size = mpInt(v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("user message header: %w", err)
	}
	if size < 0 || size > limit {
		return nil, fmt.Errorf("user message of %d bytes, at most %d allowed", size, limit)
	}
	b, err := (&mpReader{r: r, left: size}).take(size)
	if err != nil {
		return nil, fmt.Errorf("user message: %w", err)
	}
	return b, nil
}

// ReadError reads the text of an error answer after its type byte.
func ReadError(r io.Reader) error {
	text := "no reason given"
	err := (&mpReader{r: r, left: 64 << 10}).fields(func(name string, v any) {
		if name == "Error" {
			text = string(mpBytes(v))
		}
	})
	if err != nil {
		return fmt.Errorf("error answer: %w", err)
	}
	return errors.New(text)
}
