package gossip

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// streamConn is a stream as memberlist sees it: bare on reading, labelled and perhaps compressed on writing. The sieve
// runs inside the first Read, under the deadline that memberlist has set by then.
type streamConn struct {
	net.Conn
	sieve     wire.Sieve
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
		c.body, c.err = c.sieve.Stream(c.Conn, c.accepted)
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
	if _, err := c.Conn.Write(wire.Compress(c.algorithm, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
