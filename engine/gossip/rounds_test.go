package gossip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// rounds is a listener on loopback that looks every millisecond.
func rounds(t *testing.T) net.Listener {
	t.Helper()
	nw := &inRounds{}
	nw.look(time.Millisecond)
	l, err := nw.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect gives both ends of a connection.
func connect(t *testing.T, l net.Listener) (client *net.TCPConn, server net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if err := server.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn), server
}

// TestRoundsReadWhatIsThere: what was sent before anybody looked is read to its end.
func TestRoundsReadWhatIsThere(t *testing.T) {
	l := rounds(t)
	want := bytes.Repeat([]byte("packet"), 10000)
	sent := make(chan error, 3)
	for range cap(sent) {
		go func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err == nil {
				_, err = conn.Write(want)
				err = errors.Join(err, conn.Close())
			}
			sent <- err
		}()
	}
	for range cap(sent) {
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().(*net.TCPAddr).Port == 0 || conn.LocalAddr().String() != l.Addr().String() {
			t.Errorf("connection from %s to %s", conn.RemoteAddr(), conn.LocalAddr())
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("reading what is closed: %v", err)
		}
	}
}

// TestRoundsWait: a connection on which something has to be waited for behaves like any other.
func TestRoundsWait(t *testing.T) {
	client, server := connect(t, rounds(t))
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 4)
		_, err := io.ReadFull(server, b)
		got <- string(b) + errorText(err)
	}()
	if _, err := server.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "ask" {
		t.Fatalf("%s, %v", b, err)
	}
	if _, err := client.Write([]byte("tell")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "tell" {
		t.Errorf("read %q", s)
	}
	if err := server.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading after the deadline: %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return ", " + err.Error()
}

// TestRoundsDeadline: a deadline set before anything has to be waited for holds.
func TestRoundsDeadline(t *testing.T) {
	_, server := connect(t, rounds(t))
	if err := errors.Join(server.SetReadDeadline(time.Now().Add(time.Millisecond)), server.SetWriteDeadline(time.Time{})); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading: %v", err)
	}
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Errorf("writing: %v", err)
	}
}

// TestRoundsClose: closing ends those who wait.
func TestRoundsClose(t *testing.T) {
	l := rounds(t)
	_, server := connect(t, l)
	ends := make(chan error, 2)
	go func() {
		_, err := server.Read(make([]byte, 1))
		ends <- err
	}()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			conn.Close()
		}
		ends <- err
	}()
	if err := errors.Join(server.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	for range cap(ends) {
		if err := <-ends; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
}
