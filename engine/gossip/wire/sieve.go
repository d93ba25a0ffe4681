package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// ErrLabel reports a packet or stream of another cluster.
var ErrLabel = errors.New("label of another cluster")

// Sieve takes off what memberlist should not see: labels (checked here, so that several can be accepted while a label
// is being changed), checksums and compression (which upstream cannot read when it is snappy).
type Sieve struct {
	Labels   []string // accepted labels; "" is "no label"
	AnyLabel bool
	Limit    int // bytes of one message after decompression
}

func (s Sieve) accepts(label string) error {
	if s.AnyLabel || slices.Contains(s.Labels, label) {
		return nil
	}
	return fmt.Errorf("%w: %q, want one of %q", ErrLabel, label, s.Labels)
}

// Packet returns the bare message of a packet.
func (s Sieve) Packet(b []byte) ([]byte, error) {
	label := ""
	if len(b) > 0 && b[0] == msgLabel {
		if len(b) < 2 || b[1] == 0 || len(b) < 2+int(b[1]) {
			return nil, errors.New("broken label header")
		}
		n := 2 + int(b[1])
		label, b = string(b[2:n]), b[n:]
	}
	if err := s.accepts(label); err != nil {
		return nil, err
	}
	if len(b) >= 5 && b[0] == msgHasCRC {
		if want, got := binary.BigEndian.Uint32(b[1:5]), crc32.ChecksumIEEE(b[5:]); want != got {
			return nil, fmt.Errorf("checksum %08x, want %08x", got, want)
		}
		b = b[5:]
	}
	if len(b) > 0 && b[0] == msgCompress {
		return readCompressed(bytes.NewReader(b[1:]), s.Limit)
	}
	if len(b) == 0 {
		return nil, errors.New("empty packet")
	}
	return b, nil
}

// Stream returns a reader of the bare message of a stream. Nothing is read ahead that would be lost: the returned
// reader owns the rest of r. wantLabel is false for answers, which carry none.
func (s Sieve) Stream(r io.Reader, wantLabel bool) (io.Reader, error) {
	br := bufio.NewReader(r)
	first, err := br.ReadByte()
	if err != nil {
		return nil, err
	}
	if wantLabel {
		label := ""
		if first == msgLabel {
			if label, err = readLabel(br); err == nil {
				first, err = br.ReadByte()
			}
			if err != nil {
				return nil, err
			}
		}
		if err := s.accepts(label); err != nil {
			return nil, err
		}
	}
	if first == msgCompress {
		msg, err := readCompressed(br, s.Limit)
		if err != nil {
			return nil, err
		}
		return bytes.NewReader(msg), nil
	}
	return br, br.UnreadByte()
}

func readLabel(br *bufio.Reader) (string, error) {
	n, err := br.ReadByte()
	if err != nil {
		return "", noEOF(err)
	}
	if n == 0 {
		return "", errors.New("broken label header")
	}
	b := make([]byte, n)
	_, err = io.ReadFull(br, b)
	return string(b), noEOF(err)
}
