package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// The layout of a segment; docs/formats/wal.md draws it.
const (
	version     = 1
	headerSize  = 24
	recordSize  = 13 // marker, length, checksum, flags
	markerSize  = 4
	flagS2      = 1 // the payload is compressed
	flagFirst   = 2 // the first record of a group; the groups before it are durable
	suffix      = ".wal"
	tornSuffix  = ".torn"
	nameDigits  = 10
	markerWidth = 2 * markerSize
)

var magic = [8]byte{'r', 'i', 'n', 'g', 'w', 'a', 'l', version}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentID is what a file name tells: its number, and the random marker that
// precedes each of its records. The marker stands in the name so that no damage
// inside the file can hide where records begin, and is random so that nobody
// can plant a record inside the payload of another.
type segmentID struct {
	num    uint64
	marker [markerSize]byte
}

// name returns "0000000007-9f3c2a7d.wal".
func (id segmentID) name() string {
	return fmt.Sprintf("%0*d-%x%s", nameDigits, id.num, id.marker, suffix)
}

func parseName(name string) (id segmentID, ok bool) {
	base, found := strings.CutSuffix(name, suffix)
	digits, mark, dash := strings.Cut(base, "-")
	if !found || !dash || len(digits) < nameDigits || len(mark) != markerWidth {
		return id, false
	}
	num, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || num == 0 {
		return id, false
	}
	m, err := strconv.ParseUint(mark, 16, 32)
	if err != nil {
		return id, false
	}
	id.num = num
	binary.BigEndian.PutUint32(id.marker[:], uint32(m))
	return id, id.name() == name
}

// appendHeader appends the 24 bytes that open a segment.
func (id segmentID) appendHeader(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, id.num)
	dst = append(dst, id.marker[:]...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// checkHeader says what is wrong with the opening bytes of a segment.
func (id segmentID) checkHeader(b []byte) error {
	switch {
	case len(b) < headerSize:
		return fmt.Errorf("segment header is cut off after %d bytes", len(b))
	case bytes.Equal(b[:headerSize], id.appendHeader(nil)):
		return nil
	case bytes.Equal(b[:7], magic[:7]) && b[7] != version &&
		crc32.Checksum(b[:headerSize-4], castagnoli) == binary.LittleEndian.Uint32(b[headerSize-4:]):
		return fmt.Errorf("%w %d, this build reads %d", errVersion, b[7], version)
	}
	return fmt.Errorf("segment header does not match its name or checksum")
}

// payloadSum is the checksum of a stored payload. It does not depend on the
// segment, so that it is computed before a place in the log is known.
func payloadSum(stored []byte) uint32 { return crc32.Checksum(stored, castagnoli) }

// recordSum is the checksum in a record: over the marker, the length, the flags
// and the checksum of the payload.
func recordSum(marker [markerSize]byte, length uint32, flags byte, payload uint32) uint32 {
	var b [13]byte
	copy(b[:], marker[:])
	binary.LittleEndian.PutUint32(b[4:], length)
	b[8] = flags
	binary.LittleEndian.PutUint32(b[9:], payload)
	return crc32.Checksum(b[:], castagnoli)
}

// appendDraft appends a record that has no segment yet: the marker is empty and
// the checksum is that of the payload alone.
func appendDraft(dst, stored []byte, flags byte) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(stored)))
	dst = binary.LittleEndian.AppendUint32(dst, payloadSum(stored))
	dst = append(dst, flags)
	return append(dst, stored...)
}

// stamp turns the drafts in from, one group, into records of the segment, in to. Both hold
// whole records and have the same length; from stays a draft, so that it can be
// stamped again for another segment.
func (id segmentID) stamp(to, from []byte) {
	copy(to, from)
	for i := 0; i < len(from); {
		length := binary.LittleEndian.Uint32(from[i+4:])
		sum := binary.LittleEndian.Uint32(from[i+8:])
		flags := from[i+12]
		if i == 0 {
			flags |= flagFirst
		}
		copy(to[i:], id.marker[:])
		binary.LittleEndian.PutUint32(to[i+8:], recordSum(id.marker, length, flags, sum))
		to[i+12] = flags
		i += recordSize + int(length)
	}
}

// recordHead is a parsed record header.
type recordHead struct {
	length uint32
	sum    uint32
	flags  byte
}

// parseHead reads a record header; ok is false when it cannot be one.
func (id segmentID) parseHead(b []byte, maxStored int) (h recordHead, ok bool) {
	if len(b) < recordSize || [markerSize]byte(b) != id.marker {
		return h, false
	}
	h.length = binary.LittleEndian.Uint32(b[4:])
	h.sum = binary.LittleEndian.Uint32(b[8:])
	h.flags = b[12]
	return h, uint64(h.length) <= uint64(maxStored) && h.flags&^(flagS2|flagFirst) == 0
}

func (id segmentID) matches(h recordHead, stored []byte) bool {
	return recordSum(id.marker, h.length, h.flags, payloadSum(stored)) == h.sum
}
