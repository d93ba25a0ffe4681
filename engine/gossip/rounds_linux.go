package gossip

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// roundListener accepts in rounds. Its socket is not known to the runtime's poller, which would wake a thread for every
// connection that arrives.
type roundListener struct {
	addr  net.Addr
	pause func() time.Duration
	done  chan struct{}

	mu sync.Mutex
	fd int // -1: closed
}

// listenInRounds takes the socket of l over.
func listenInRounds(l net.Listener, pause func() time.Duration) (net.Listener, error) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return l, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	fd := -1
	var failed error
	err = raw.Control(func(own uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, failed = syscall.Dup(int(own)); failed == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, os.NewSyscallError("dup", failed), l.Close()); err != nil {
		return nil, err
	}
	return &roundListener{addr: l.Addr(), pause: pause, done: make(chan struct{}), fd: fd}, nil
}

// Accept implements net.Listener. It returns connections as long as there are any, and then waits for the next round.
func (l *roundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.accept()
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ECONNABORTED):
			continue
		case !errors.Is(err, syscall.EAGAIN):
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
		}
		timer := time.NewTimer(l.pause())
		select {
		case <-timer.C:
		case <-l.done:
			timer.Stop()
		}
	}
}

func (l *roundListener) accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil, net.ErrClosed
	}
	fd, remote, err := syscall.Accept4(l.fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("accept4", err)
	}
	return &roundConn{fd: fd, local: l.addr, remote: remote}, nil
}

// Close implements net.Listener.
func (l *roundListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return net.ErrClosed
	}
	fd := l.fd
	l.fd = -1
	close(l.done)
	return os.NewSyscallError("close", syscall.Close(fd))
}

// Addr implements net.Listener.
func (l *roundListener) Addr() net.Addr { return l.addr }

// roundConn is an accepted connection. What has arrived is read straight from the socket; as soon as there is something to
// wait for, it becomes a connection like any other.
type roundConn struct {
	local  net.Addr
	remote syscall.Sockaddr

	mu          sync.Mutex
	fd          int      // -1: closed, or handed over to conn
	conn        net.Conn // nil until something has to be waited for
	read, write time.Time
}

// Read implements net.Conn.
func (c *roundConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if n, err := c.readNow(p); !errors.Is(err, syscall.EAGAIN) {
		return n, err
	}
	conn, err := c.waiting()
	if err != nil {
		return 0, err
	}
	return conn.Read(p)
}

// readNow reads what is there, or fails with EAGAIN.
func (c *roundConn) readNow(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.fd >= 0 {
		n, err := syscall.Read(c.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
	return 0, syscall.EAGAIN
}

// waiting is the connection in a form that can wait.
func (c *roundConn) waiting() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	if c.fd < 0 {
		return nil, net.ErrClosed
	}
	f := os.NewFile(uintptr(c.fd), "gossip")
	c.fd = -1
	conn, err := net.FileConn(f) // has a copy of the socket
	if err = errors.Join(err, f.Close()); err == nil {
		err = errors.Join(conn.SetReadDeadline(c.read), conn.SetWriteDeadline(c.write))
	}
	c.conn = conn
	return conn, err
}

// Write implements net.Conn.
func (c *roundConn) Write(p []byte) (int, error) {
	conn, err := c.waiting()
	if err != nil {
		return 0, err
	}
	return conn.Write(p)
}

// Close implements net.Conn.
func (c *roundConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.conn != nil:
		return c.conn.Close()
	case c.fd < 0:
		return net.ErrClosed
	}
	fd := c.fd
	c.fd = -1
	return os.NewSyscallError("close", syscall.Close(fd))
}

// LocalAddr implements net.Conn.
func (c *roundConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *roundConn) RemoteAddr() net.Addr {
	switch a := c.remote.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return address("")
}

// SetDeadline implements net.Conn.
func (c *roundConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *roundConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read = t; c.conn != nil {
		return c.conn.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *roundConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.write = t; c.conn != nil {
		return c.conn.SetWriteDeadline(t)
	}
	return nil
}
