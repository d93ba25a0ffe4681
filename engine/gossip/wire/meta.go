package wire

import "fmt"

// Role is a node's part in zone-aware routing.
type Role uint8

// The roles of zone-aware routing. A node that says nothing is a member.
const (
	RoleMember Role = 1
	RoleBridge Role = 2
)

// String returns "member", "bridge" or "unknown(n)".
func (r Role) String() string {
	switch r {
	case RoleMember:
		return "member"
	case RoleBridge:
		return "bridge"
	}
	return fmt.Sprintf("unknown(%d)", uint8(r))
}

// Meta is what a node says about itself in its memberlist metadata.
type Meta struct {
	Role Role
	Zone string // "" when it says none
}

const (
	metaVersion = 1
	maxMetaZone = 16 // bytes
)

// ParseMeta reads memberlist node metadata: version byte 1, role byte, zone length, zone. Metadata that is empty, of
// another version or cut short means a member without a zone, because that is how other nodes will route to it.
func ParseMeta(b []byte) Meta {
	none := Meta{Role: RoleMember}
	if len(b) < 3 || b[0] != metaVersion {
		return none
	}
	n := int(b[2])
	if n > maxMetaZone || len(b) < 3+n {
		return none
	}
	return Meta{Role: Role(b[1]), Zone: string(b[3 : 3+n])}
}

// AppendMeta appends the metadata bytes of m to b. Zones longer than 16 bytes cannot be written.
func AppendMeta(b []byte, m Meta) ([]byte, error) {
	if len(m.Zone) > maxMetaZone {
		return nil, fmt.Errorf("node metadata: zone %q is longer than %d bytes", m.Zone, maxMetaZone)
	}
	b = append(b, metaVersion, byte(m.Role), byte(len(m.Zone)))
	return append(b, m.Zone...), nil
}
