package clienttest

import (
	"io"
	"net"
	"sync"
)

// The first bytes of a connection to a gossip port: a packet or a stream, then the label, then the kind of message.
const (
	connPacket  = 1
	msgUser     = 8
	labelHeader = 244
	maxHeader   = 1 + 2 + 255 + 1
)

// relay copies both ways until both sides are done. A muted member loses what is sent to it without an answer:
// packets and user messages are swallowed, questions pass.
func relay(client, member *net.TCPConn, muted bool) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(client, member)
		_ = client.CloseWrite()
	})
	if muted && swallow(client, member) {
		_, _ = io.Copy(io.Discard, client)
		_ = member.Close()
	} else {
		_, _ = io.Copy(member, client)
		_ = member.CloseWrite()
	}
	wg.Wait()
}

// swallow reads the header of a connection and tells whether it carries a message that wants no answer; otherwise it
// passes on what it read.
func swallow(client, member net.Conn) bool {
	var head []byte
	next := func(n int) byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(client, b); err != nil || len(head)+n > maxHeader {
			return 0
		}
		head = append(head, b...)
		return head[len(head)-1]
	}
	if next(1) == connPacket {
		return true
	}
	kind := next(1)
	if kind == labelHeader {
		next(int(next(1)))
		kind = next(1)
	}
	if kind == msgUser {
		return true
	}
	_, err := member.Write(head)
	return err != nil
}
