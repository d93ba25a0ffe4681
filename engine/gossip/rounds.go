package gossip

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// inRounds is the network of somebody who may let others wait for a moment. Where the system allows it, connections are
// looked for every so often instead of being woken by each: what has come meanwhile lies in the kernel, complete, and is
// read without waiting for it. In a busy cluster a program that only listens spends most of its time on being woken.
type inRounds struct {
	tcp
	every atomic.Int64 // nanoseconds between two looks
}

const (
	// joiningRound is how long others wait at most while the guest joins: it is waiting for them, too.
	joiningRound = 10 * time.Millisecond
	// listeningRound is the same afterwards: as often as a member gossips by itself, and a tenth of the time in which
	// a probe must be answered.
	listeningRound = 200 * time.Millisecond
)

// look sets how long to pause between two looks.
func (n *inRounds) look(every time.Duration) { n.every.Store(int64(every)) }

func (n *inRounds) pause() time.Duration { return time.Duration(n.every.Load()) }

// Listen implements network.
func (n *inRounds) Listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := n.tcp.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return listenInRounds(l, n.pause)
}
