package wire

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Packet is one packet of the TCP transport: who sent it and the memberlist bytes inside.
type Packet struct {
	From    string // the sender's advertised "ip:port"; "" before it knows it
	Payload []byte
}

// AppendFrame appends the bytes of one packet connection: type byte, address, payload, and the MD5 of the payload.
// Addresses longer than 255 bytes are cut.
func AppendFrame(b []byte, p Packet) []byte {
	from := p.From[:min(len(p.From), 255)]
	b = append(append(b, ConnPacket, byte(len(from))), from...)
	b = append(b, p.Payload...)
	sum := md5.Sum(p.Payload)
	return append(b, sum[:]...)
}

// ParseFrame reads a packet connection after its type byte. Payload aliases b. A packet whose checksum is wrong is an
// error: what is inside cannot be trusted.
func ParseFrame(b []byte) (Packet, error) { return parseFrame(b, func([]byte) bool { return false }) }

// ParseFrameOnce is [ParseFrame] for somebody who only listens: it leaves a packet to the checksum that is in its payload,
// see [Sieve.Packet], where there is one. That one costs a tenth of the frame's.
func ParseFrameOnce(b []byte) (Packet, error) { return parseFrame(b, hasChecksum) }

func parseFrame(b []byte, checked func(payload []byte) bool) (Packet, error) {
	if len(b) < 1 || len(b) < 1+int(b[0])+md5.Size {
		return Packet{}, fmt.Errorf("packet of %d bytes is cut short", len(b))
	}
	n := 1 + int(b[0])
	end := len(b) - md5.Size
	p := Packet{From: string(b[1:n]), Payload: b[n:end]}
	if checked(p.Payload) {
		return p, nil
	}
	sum := md5.Sum(p.Payload)
	if subtle.ConstantTimeCompare(sum[:], b[end:]) != 1 {
		return Packet{}, fmt.Errorf("packet from %s: checksum does not match", p.From)
	}
	return p, nil
}

// hasChecksum tells whether a payload carries a checksum of its own behind its label.
func hasChecksum(b []byte) bool {
	if len(b) > 1 && b[0] == msgLabel {
		b = b[min(2+int(b[1]), len(b)):]
	}
	return len(b) >= 5 && b[0] == msgHasCRC
}

// maxCompound is how many parts one compound message may hold: its count is a single byte.
const maxCompound = 255

// mend prepares one Outgoing memberlist message. On the path that piggybacks gossip on pings, memberlist writes the
// number of parts of a compound message as one byte without checking it: above 255 parts the receiver would misread
// all of them. Such a message is cut into several correct ones; every other message is returned as it is.
func mend(msg []byte) [][]byte {
	if len(msg) < 2 || msg[0] != msgCompound {
		return [][]byte{msg}
	}
	for n := int(msg[1]); 2+2*n <= len(msg); n += 256 {
		parts, ok := compoundParts(msg, n)
		if !ok {
			continue
		}
		if n <= maxCompound {
			return [][]byte{msg}
		}
		var out [][]byte
		for ; len(parts) > 0; parts = parts[min(maxCompound, len(parts)):] {
			out = append(out, compound(parts[:min(maxCompound, len(parts))]))
		}
		return out
	}
	return [][]byte{msg}
}

// compoundParts cuts a compound message as if it had n parts; ok tells whether the lengths add up.
func compoundParts(msg []byte, n int) (parts [][]byte, ok bool) {
	at, sum := 2+2*n, 0
	for i := range n {
		sum += int(binary.BigEndian.Uint16(msg[2+2*i:]))
	}
	if at+sum != len(msg) {
		return nil, false
	}
	parts = make([][]byte, 0, n)
	for i := range n {
		size := int(binary.BigEndian.Uint16(msg[2+2*i:]))
		parts = append(parts, msg[at:at+size])
		at += size
	}
	return parts, true
}

// TakeUser calls take for each user message in the bare message of a packet and returns the messages that are left.
// What it is given and what it returns alias msg.
func TakeUser(msg []byte, take func(user []byte)) (rest [][]byte) {
	parts := [][]byte{msg}
	if len(msg) > 1 && msg[0] == msgCompound && 2+2*int(msg[1]) <= len(msg) {
		if cut, ok := compoundParts(msg, int(msg[1])); ok {
			parts = cut
		}
	}
	for _, part := range parts {
		if len(part) > 0 && part[0] == MsgUser {
			take(part[1:])
		} else {
			rest = append(rest, part)
		}
	}
	return rest
}

func compound(parts [][]byte) []byte {
	out := []byte{msgCompound, byte(len(parts))}
	for _, p := range parts {
		out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Outgoing turns a packet as memberlist wrote it into the payloads that go onto the wire: mended, compressed when that
// is wanted and helps, with its checksum if it had one, labelled.
func Outgoing(b []byte, label, algorithm string) [][]byte {
	checksum := len(b) >= 5 && b[0] == msgHasCRC
	if checksum {
		b = b[5:]
	}
	msgs := mend(b)
	for i, msg := range msgs {
		if algorithm != "" {
			msg = Compress(algorithm, msg)
		}
		out := AppendLabel(make([]byte, 0, len(msg)+2+len(label)+5), label)
		if checksum {
			out = binary.BigEndian.AppendUint32(append(out, msgHasCRC), crc32.ChecksumIEEE(msg))
		}
		msgs[i] = append(out, msg...)
	}
	return msgs
}

// ErrLabelTooLong reports a cluster label that does not fit its length byte.
var ErrLabelTooLong = errors.New("cluster label is longer than 255 bytes")
