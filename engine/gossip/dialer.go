package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// The reasons why an exchange fails, for errors.Is. The error text always says what to try next.
var (
	// ErrWrongLabel: the connection was closed at once, which is how a member treats a foreign cluster label.
	ErrWrongLabel = errors.New("closed without an answer")
	// ErrNotGossip: something else than gossip listens there.
	ErrNotGossip = errors.New("not a gossip port")
	// ErrNeedsTLS: the port speaks TLS and we did not.
	ErrNeedsTLS = errors.New("the port speaks TLS")
	// ErrNoTLS: we spoke TLS and the port does not.
	ErrNoTLS = errors.New("the port does not speak TLS")
	// ErrTimeout: no answer in time.
	ErrTimeout = errors.New("no answer in time")
)

// Dialer talks to one member without becoming one. The zero value works for clusters without label and TLS.
// It is safe for concurrent use.
type Dialer struct {
	Label   string        // the cluster's label
	TLS     *tls.Config   // nil: plain TCP
	Timeout time.Duration // for one whole exchange; 0: 5 s
	// MaxState limits the bytes of an answer, before and after decompression; 0: 64 MiB.
	MaxState int
	// Dial replaces the network dial, for example with one through a tunnel. nil: net.Dialer.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// View is what one member knows: its own opinion, which may differ from that of the others.
type View struct {
	From  string    // the address that was asked
	At    time.Time // when the answer was complete, by the local clock
	Nodes []Node    // members as it sees them, dead ones too
	Pairs []Pair    // all keys, with tombstones, in the order received; unknown codecs too
	Bytes int       // size of the state
	Took  time.Duration
}

// Pull reads the whole view of the member at addr ("host:port") in one exchange. It announces no node and no state,
// so nothing changes at the other side. On a damaged state it returns what could be read together with the error.
func (d Dialer) Pull(ctx context.Context, addr string) (*View, error) {
	view, _, err := d.PullInto(ctx, addr, nil)
	return view, err
}

// PullInto is [Dialer.Pull] for somebody who asks often: the state is read into memory, where that is large enough, and
// the values of the view's pairs lie in it. It returns the memory, perhaps a larger one, for the next time; the view's
// values are void then.
func (d Dialer) PullInto(ctx context.Context, addr string, memory []byte) (*View, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	start := time.Now()
	conn, err := d.open(ctx, addr, wire.AppendPull(nil))
	if err != nil {
		return nil, memory, fmt.Errorf("pull from %s: %w", addr, err)
	}
	defer conn.Close()
	defer interruptible(ctx, conn)()
	view, state, err := d.answer(conn, memory)
	if state != nil {
		memory = state
	}
	if view != nil {
		view.From, view.At = addr, time.Now()
		view.Took = view.At.Sub(start)
	}
	if err == nil {
		return view, memory, nil
	}
	err = d.explain(ctx, err)
	if errors.Is(err, ErrWrongLabel) || errors.Is(err, ErrTimeout) {
		if other := d.diagnose(ctx, addr); other != nil {
			err = other
		}
	}
	return view, memory, fmt.Errorf("pull from %s: %w", addr, err)
}

// probeTimeout is for one question after a failed exchange.
const probeTimeout = 500 * time.Millisecond

// diagnose asks a port that accepts connections but does not answer to gossip what it speaks instead. nil: no idea.
func (d Dialer) diagnose(ctx context.Context, addr string) error {
	if d.TLS != nil || errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	probe := func(conf *tls.Config, f func(net.Conn) error) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		conn, err := dialStream(ctx, addr, conf, d.Dial)
		if err != nil {
			return nil
		}
		defer conn.Close()
		return f(conn)
	}
	// Nothing is sent over this connection and nothing believed that comes from it, so nothing needs to be verified.
	err := probe(&tls.Config{InsecureSkipVerify: true}, func(net.Conn) error { return notGossip(0x16) })
	if err != nil {
		return err
	}
	return probe(nil, func(conn net.Conn) error {
		first := make([]byte, 1)
		if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return nil
		}
		if _, err := io.ReadFull(conn, first); err != nil || first[0] != 'H' {
			return nil
		}
		return notGossip(first[0])
	})
}

// Send hands one pair to the member at addr, which merges it and passes the change on like any gossip. There is no
// answer: read back with Pull, from other members too, before calling it done.
func (d Dialer) Send(ctx context.Context, addr string, p Pair) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	body, err := p.MarshalBinary()
	if err != nil {
		return err
	}
	if len(body) > wire.MaxState {
		return fmt.Errorf("send to %s: %d bytes, members accept at most %d", addr, len(body), wire.MaxState)
	}
	conn, err := d.open(ctx, addr, wire.AppendUser(nil, body))
	if err != nil {
		return fmt.Errorf("send to %s: %w", addr, err)
	}
	defer conn.Close()
	defer interruptible(ctx, conn)()
	// The member closes when it has read the message; an error answer or a reset arrives here, too.
	if err := d.confirm(conn); err != nil {
		return fmt.Errorf("send to %s: %w", addr, d.explain(ctx, err))
	}
	return nil
}

func (d Dialer) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return 5 * time.Second
}

func (d Dialer) limit() int {
	if d.MaxState > 0 {
		return d.MaxState
	}
	return 64 << 20
}

// open connects, writes the stream byte, the label and msg, and leaves the connection ready for the answer.
func (d Dialer) open(ctx context.Context, addr string, msg []byte) (net.Conn, error) {
	if len(d.Label) > wire.MaxLabel {
		return nil, wire.ErrLabelTooLong
	}
	conn, err := dialStream(ctx, addr, d.TLS, d.Dial)
	if err != nil {
		return nil, d.explain(ctx, err)
	}
	out := wire.AppendLabel([]byte{wire.ConnStream}, d.Label)
	if _, err := conn.Write(append(out, msg...)); err != nil {
		conn.Close()
		return nil, d.explain(ctx, err)
	}
	return conn, nil
}

// interruptible ends what waits for the connection when ctx ends, until the returned function is called. The deadline alone
// would let somebody wait who needs no answer any more.
func interruptible(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.Close() })
}

// dialStream opens a TCP or TLS connection whose deadline is that of ctx.
func dialStream(ctx context.Context, addr string, conf *tls.Config, dial func(context.Context, string) (net.Conn, error)) (net.Conn, error) {
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			conn.Close()
			return nil, err
		}
	}
	if conf == nil {
		return conn, nil
	}
	sec := tls.Client(conn, tlsFor(conf, addr))
	if err := sec.HandshakeContext(ctx); err != nil {
		conn.Close()
		if closed(err) { // what a plain gossip port does with a TLS hello
			return nil, fmt.Errorf("%w: try without TLS (handshake: %v)", ErrNoTLS, err) //nolint:errorlint // the cause is ErrNoTLS
		}
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	return sec, nil
}

// tlsFor fills in the server name from the dialed address when the configuration leaves it open.
func tlsFor(conf *tls.Config, addr string) *tls.Config {
	if conf.ServerName != "" || conf.InsecureSkipVerify {
		return conf
	}
	conf = conf.Clone()
	conf.ServerName, _, _ = net.SplitHostPort(addr)
	return conf
}

// answer reads what a member knows, its state into memory where that is large enough.
func (d Dialer) answer(conn net.Conn, memory []byte) (view *View, state []byte, err error) {
	body, err := wire.Sieve{Limit: d.limit()}.Stream(conn, false)
	if err != nil {
		return nil, nil, err
	}
	kind := make([]byte, 1)
	if _, err := io.ReadFull(body, kind); err != nil {
		return nil, nil, err
	}
	switch kind[0] {
	case wire.MsgPushPull:
	case wire.MsgError:
		return nil, nil, fmt.Errorf("the member refused: %w", wire.ReadError(body))
	default:
		return nil, nil, notGossip(kind[0])
	}
	nodes, state, err := wire.ReadPushPull(body, d.limit(), memory)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := wire.DecodeStateInPlace(state)
	return &View{Nodes: nodes, Pairs: pairs, Bytes: len(state)}, state, err
}

// confirm waits until the member closes the connection, which it does once it has read a user message.
func (d Dialer) confirm(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	body, err := wire.Sieve{Limit: 64 << 10}.Stream(conn, false)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	kind := make([]byte, 1)
	if _, err := io.ReadFull(body, kind); err != nil {
		return err
	}
	if kind[0] == wire.MsgError {
		return fmt.Errorf("the member refused: %w", wire.ReadError(body))
	}
	return notGossip(kind[0])
}

// notGossip names what answered, as far as its first byte tells.
func notGossip(first byte) error {
	switch first {
	case 0x15, 0x16:
		return fmt.Errorf("%w: use TLS for this port", ErrNeedsTLS)
	case 'H':
		return fmt.Errorf("%w: an HTTP server answers there; use the gossip port (7946 by default)", ErrNotGossip)
	}
	return fmt.Errorf("%w: the answer begins with byte 0x%02x; is this the memberlist port?", ErrNotGossip, first)
}

// explain adds the likely reason and the next step to an error of the exchange.
func (d Dialer) explain(ctx context.Context, err error) error {
	var record interface{ Timeout() bool }
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &header):
		return fmt.Errorf("%w: try without TLS (%w)", ErrNoTLS, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &record) && record.Timeout(), ctx.Err() != nil:
		return fmt.Errorf("%w (%s): is the address right and the port open? a big state over a slow line needs a longer timeout (%w)",
			ErrTimeout, d.timeout(), err)
	case errors.Is(err, ErrNoTLS):
		return err
	case closed(err):
		return fmt.Errorf("%w: %s", ErrWrongLabel, d.labelHint())
	}
	return err
}

// closed tells whether the other side ended the connection instead of answering.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (d Dialer) labelHint() string {
	if d.Label == "" {
		return "the cluster probably has a label and none was given"
	}
	return fmt.Sprintf("the cluster's label is probably not %q", d.Label)
}
