package gossip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// network is what the transport needs from the operating system.
type network interface {
	Listen(ctx context.Context, addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// tcp is the network itself.
type tcp struct{}

// Listen implements network. Connections have deadlines: to have them probed, too, would double the system calls of each.
func (tcp) Listen(ctx context.Context, addr string) (net.Listener, error) {
	return (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", addr)
}

// Dial implements network.
func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr)
}

// maxServed is how many connections are read at the same time; the rest waits in the kernel. Each has a deadline.
const maxServed = 1024

// maxPacket bounds one received packet. The dskit family sends up to its buffer size of 10 MiB in one.
const maxPacket = 12 << 20

// maxScratch is the largest memory kept for reading the next packet.
const maxScratch = 1 << 20

// transport carries memberlist's packets and streams over TCP or TLS, one connection each, told apart by their first
// byte. Labels, checksums and compression are dealt with here, so that memberlist sees bare messages.
type transport struct {
	net       network
	tls       *tls.Config
	label     string
	algorithm string
	sieve     wire.Sieve
	timeouts  timeouts
	log       *slog.Logger
	metrics   *transportMetrics

	listeners []net.Listener
	bindIP    net.IP
	parse     func([]byte) (wire.Packet, error)
	hear      func(user []byte) // nil: memberlist does
	scratch   sync.Pool         // of *bytes.Buffer, to read packets into
	packets   chan *memberlist.Packet
	streams   chan net.Conn

	ctx     context.Context // ends with shutdown
	stop    context.CancelFunc
	reads   sync.WaitGroup
	writes  sync.WaitGroup
	writers chan struct{}

	mu        sync.Mutex
	closed    bool
	advertise string          // final "ip:port"
	failing   map[string]bool // destinations whose last dial failed
	writing   map[string]int  // destinations being written to
}

type timeouts struct {
	packetDial, packetWrite, acquire, stream time.Duration
}

// newTransport listens on all the addresses. Port 0 takes a free port, the same on all of them.
func newTransport(cfg Config, conf *tls.Config, nw network, log *slog.Logger, m *transportMetrics) (*transport, error) {
	ctx, stop := context.WithCancel(context.Background())
	t := &transport{
		net: nw, tls: conf, label: cfg.ClusterLabel, algorithm: cfg.algorithm(), sieve: cfg.sieve(), log: log, metrics: m,
		timeouts: timeouts{cfg.PacketDialTimeout, cfg.PacketWriteTimeout, cfg.AcquireWriterTimeout, cfg.StreamTimeout},
		packets:  make(chan *memberlist.Packet, cfg.ReceivedMessagesQueueSize),
		streams:  make(chan net.Conn), writers: make(chan struct{}, cfg.MaxConcurrentWrites),
		hear: cfg.hear, ctx: ctx, stop: stop, failing: map[string]bool{}, writing: map[string]int{},
	}
	if t.parse = wire.ParseFrame; cfg.hear != nil {
		t.parse = wire.ParseFrameOnce
	}
	addrs := cfg.BindAddr
	if len(addrs) == 0 {
		addrs = []string{"0.0.0.0"}
	}
	t.bindIP = shortIP(net.ParseIP(addrs[0]))
	port := cfg.BindPort
	for _, a := range addrs {
		l, err := nw.Listen(ctx, net.JoinHostPort(a, strconv.Itoa(port)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("gossip: listen: %w", err), t.Shutdown())
		}
		t.listeners = append(t.listeners, l)
		port = portOf(l.Addr())
	}
	for _, l := range t.listeners {
		t.reads.Go(func() { t.accept(l) })
	}
	return t, nil
}

func portOf(a net.Addr) int {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

// port is the bound port.
func (t *transport) port() int { return portOf(t.listeners[0].Addr()) }

// accept hands every connection to its own goroutine until the listener is closed.
func (t *transport) accept(l net.Listener) {
	slots := make(chan struct{}, maxServed)
	for wait := time.Duration(0); ; {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			t.log.Warn("gossip: accept", "err", err, "retry_in", wait)
			select {
			case <-time.After(wait):
			case <-t.ctx.Done():
				return
			}
			continue
		}
		wait = 0
		slots <- struct{}{}
		t.reads.Go(func() {
			defer func() { <-slots }()
			t.serve(conn)
		})
	}
}

// serve reads the first byte of a connection and passes the rest on as a packet or a stream.
func (t *transport) serve(conn net.Conn) {
	if t.tls != nil {
		conn = tls.Server(conn, t.tls)
	}
	release := context.AfterFunc(t.ctx, func() { conn.Close() })
	defer release()
	deadline := time.Now().Add(max(t.timeouts.packetWrite, t.timeouts.stream))
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return
	}
	kind := make([]byte, 1)
	if _, err := io.ReadFull(conn, kind); err != nil {
		t.metrics.unknownConnections.Inc()
		t.log.Debug("gossip: connection without a message", "from", conn.RemoteAddr(), "err", err)
		conn.Close()
		return
	}
	switch kind[0] {
	case wire.ConnPacket:
		defer conn.Close()
		t.metrics.packetsReceived.Inc()
		if err := t.receive(conn); err != nil {
			t.metrics.packetsReceivedErrors.Inc()
			t.log.Debug("gossip: packet dropped", "from", conn.RemoteAddr(), "err", err)
		}
	case wire.ConnStream:
		t.metrics.incomingStreams.Inc()
		s := t.stream(conn, true)
		select {
		case t.streams <- s:
		case <-t.ctx.Done():
			conn.Close()
		}
	default:
		t.metrics.unknownConnections.Inc()
		t.log.Warn("gossip: something that is not gossip connected", "from", conn.RemoteAddr(), "first_byte", kind[0])
		conn.Close()
	}
}

func (t *transport) stream(conn net.Conn, accepted bool) *streamConn {
	return &streamConn{Conn: conn, sieve: t.sieve, accepted: accepted, algorithm: t.algorithm, refused: func(err error) {
		t.log.Warn("gossip: stream refused", "remote", conn.RemoteAddr(), "err", err)
	}}
}

// receive reads one packet to its end and passes its messages on.
func (t *transport) receive(conn net.Conn) error {
	scratch, ok := t.scratch.Get().(*bytes.Buffer)
	if !ok {
		scratch = new(bytes.Buffer)
	}
	defer func() {
		if scratch.Cap() <= maxScratch {
			t.scratch.Put(scratch)
		}
	}()
	scratch.Reset()
	if _, err := scratch.ReadFrom(io.LimitReader(conn, maxPacket+1)); err != nil {
		return err
	}
	b := scratch.Bytes()
	if len(b) > maxPacket {
		return fmt.Errorf("packet is larger than %d bytes", maxPacket)
	}
	t.metrics.packetsReceivedBytes.Add(float64(len(b)))
	p, err := t.parse(b)
	if err != nil {
		return err
	}
	msg, err := t.sieve.Packet(p.Payload)
	if err != nil {
		return fmt.Errorf("from %s: %w", p.From, err)
	}
	if t.hear == nil {
		return t.pass(msg, p.From)
	}
	for _, rest := range wire.TakeUser(msg, t.hear) {
		if err := t.pass(rest, p.From); err != nil {
			return err
		}
	}
	return nil
}

// pass hands a copy of a message to memberlist.
func (t *transport) pass(msg []byte, from string) error {
	// memberlist answers pings to this address when the ping names none, so it must be the advertised one.
	in := &memberlist.Packet{Buf: bytes.Clone(msg), From: address(from), Timestamp: time.Now()}
	select {
	case t.packets <- in:
		return nil
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

// address is the text "ip:port" of a member as a net.Addr.
type address string

// Network implements net.Addr.
func (address) Network() string { return "tcp" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// WriteTo implements memberlist.Transport. Like a datagram, a packet that cannot be sent is lost: there is no error.
// A destination that does not answer holds at most one of the writers, so it cannot starve the others.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	now := time.Now()
	if !t.reserve(addr) {
		t.metrics.packetsDropped.Inc()
		return now, nil
	}
	timer := time.NewTimer(t.timeouts.acquire)
	defer timer.Stop()
	select {
	case t.writers <- struct{}{}:
	case <-timer.C:
		t.metrics.packetsDropped.Inc()
		t.release(addr)
		return now, nil
	}
	payloads := wire.Outgoing(b, t.label, t.algorithm)
	go func() { // Shutdown waits for t.writes, which release counts down
		defer func() {
			<-t.writers
			t.release(addr)
		}()
		for _, p := range payloads {
			err := t.write(p, addr)
			t.note(addr, err)
			t.metrics.packetsSent.Inc()
			t.metrics.packetsSentBytes.Add(float64(len(p)))
			if err != nil {
				t.metrics.packetsSentErrors.Inc()
				t.log.Debug("gossip: packet not sent", "to", addr, "err", err)
			}
		}
	}()
	return now, nil
}

// reserve says whether a packet to addr may be sent now; if so, release must follow.
func (t *transport) reserve(addr string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.failing[addr] && t.writing[addr] > 0 {
		return false
	}
	t.writing[addr]++
	t.writes.Add(1)
	return true
}

func (t *transport) release(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writing[addr]--; t.writing[addr] <= 0 {
		delete(t.writing, addr)
	}
	t.writes.Done()
}

// note remembers whether addr answers.
func (t *transport) note(addr string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failing[addr] = true
	} else {
		delete(t.failing, addr)
	}
}

func (t *transport) write(payload []byte, addr string) error {
	t.mu.Lock()
	from := t.advertise
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.ctx, t.timeouts.packetDial)
	defer cancel()
	conn, err := dialStream(ctx, addr, t.tls, t.net.Dial)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(t.timeouts.packetWrite)); err != nil {
		return err
	}
	_, err = conn.Write(wire.AppendFrame(nil, wire.Packet{From: from, Payload: payload}))
	return err
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	t.metrics.outgoingStreams.Inc()
	conn, err := dialStream(ctx, addr, t.tls, t.net.Dial)
	if err == nil {
		_, err = conn.Write(wire.AppendLabel([]byte{wire.ConnStream}, t.label))
		if err != nil {
			conn.Close()
		}
	}
	if err != nil {
		t.metrics.outgoingStreamErrors.Inc()
		return nil, fmt.Errorf("gossip: dial %s: %w", addr, err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, err
	}
	return t.stream(conn, false), nil
}

// FinalAdvertiseAddr implements memberlist.Transport. Port 0 means the bound one, also beside an explicit address: to
// advertise a port nobody listens on is the mistake that leaves members listing each other and never talking.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	addr := shortIP(net.ParseIP(ip))
	if ip == "" {
		var err error
		if addr, err = advertiseIP(t.bindIP); err != nil {
			return nil, 0, err
		}
	} else if addr == nil {
		return nil, 0, fmt.Errorf("gossip: advertise address %q is not an IP address", ip)
	}
	if port == 0 {
		port = t.port()
	}
	t.mu.Lock()
	t.advertise = wire.HostPort(addr, port)
	t.mu.Unlock()
	return addr, port, nil
}

// shortIP keeps IPv4 addresses in their 4-byte form for the whole life of the process: members compare addresses byte
// by byte and would call the other form a conflict.
func shortIP(ip net.IP) net.IP {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

// advertiseIP picks the address to advertise for a bind address: itself, or for "every interface" the first private
// address of its family, else the first global one.
func advertiseIP(bind net.IP) (net.IP, error) {
	if !bind.IsUnspecified() {
		return bind, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("gossip: addresses of this machine: %w", err)
	}
	var best net.IP
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() || (n.IP.To4() != nil) != (bind.To4() != nil) {
			continue
		}
		if n.IP.IsPrivate() {
			return shortIP(n.IP), nil
		}
		if best == nil {
			best = shortIP(n.IP)
		}
	}
	if best == nil {
		return nil, errors.New("gossip: this machine has no address that others could reach; set advertise_addr (127.0.0.1 for a cluster on one machine)")
	}
	return best, nil
}

// shutdownGrace is how long packets under way, the goodbye among them, may still take.
const shutdownGrace = time.Second

// Shutdown implements memberlist.Transport. It returns when all goroutines of the transport have ended.
func (t *transport) Shutdown() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	var errs []error
	for _, l := range t.listeners {
		errs = append(errs, l.Close())
	}
	grace := time.AfterFunc(shutdownGrace, t.stop)
	defer grace.Stop()
	t.writes.Wait()
	t.stop()
	t.reads.Wait()
	return errors.Join(errs...)
}
