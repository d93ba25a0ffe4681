package gossip

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"slices"
	"sync"
)

// errLabel reports a packet or stream of another cluster.
var errLabel = errors.New("label of another cluster")

// sieve takes off what memberlist should not see: labels (checked here, so that several can be accepted while a label
// is being changed), checksums and compression (which upstream cannot read when it is snappy).
type sieve struct {
	labels   []string // accepted labels; "" is "no label"
	anyLabel bool
	limit    int // bytes of one message after decompression
}

func (s sieve) accepts(label string) error {
	if s.anyLabel || slices.Contains(s.labels, label) {
		return nil
	}
	return fmt.Errorf("%w: %q, want one of %q", errLabel, label, s.labels)
}

// packet returns the bare message of a packet.
func (s sieve) packet(b []byte) ([]byte, error) {
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
		return readCompressed(bytes.NewReader(b[1:]), s.limit)
	}
	if len(b) == 0 {
		return nil, errors.New("empty packet")
	}
	return b, nil
}

// streamBody returns a reader of the bare message of a stream. Nothing is read ahead that would be lost: the returned
// reader owns the rest of r. wantLabel is false for answers, which carry none.
func (s sieve) streamBody(r io.Reader, wantLabel bool) (io.Reader, error) {
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
		msg, err := readCompressed(br, s.limit)
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

// streamConn is a stream as memberlist sees it: bare on reading, labelled and perhaps compressed on writing. The sieve
// runs inside the first Read, under the deadline that memberlist has set by then.
type streamConn struct {
	net.Conn
	sieve     sieve
	accepted  bool // the other side dialed: it sends a label, our answers carry none
	algorithm string
	refused   func(error) // told when the sieve refuses the stream

	once sync.Once
	body io.Reader
	err  error
}

// Read implements net.Conn.
func (c *streamConn) Read(p []byte) (int, error) {
	c.once.Do(func() {
		c.body, c.err = c.sieve.streamBody(c.Conn, c.accepted)
		if c.err != nil && !errors.Is(c.err, io.EOF) && c.refused != nil {
			c.refused(c.err)
		}
	})
	if c.err != nil {
		return 0, c.err
	}
	return c.body.Read(p)
}

// Write implements net.Conn. memberlist writes every message of a stream with a single call, so each call is one message.
func (c *streamConn) Write(p []byte) (int, error) {
	if c.algorithm == "" {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(compressMessage(c.algorithm, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
