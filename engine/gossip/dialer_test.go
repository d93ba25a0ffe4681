package gossip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/gossip/wire"
)

// loopback is a configuration for a member on a real port of this machine.
func loopback(name string) Config {
	cfg := testConfig("127.0.0.1")
	cfg.NodeName, cfg.BindPort = name, 0
	return cfg
}

func TestPullAndSend(t *testing.T) {
	for _, algorithm := range []string{"", CompressionLZW, CompressionSnappy} {
		cfg := loopback("a")
		cfg.CompressionEnabled, cfg.CompressionAlgorithm = algorithm != "", algorithm
		a := start(t, cfg, tcp{})
		a.set(t, "i1", strings.Repeat("long text ", 100))
		d := Dialer{Label: "test"}
		view, err := d.Pull(t.Context(), a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if len(view.Nodes) != 1 || view.Nodes[0].Name != "a" || view.Nodes[0].Addr != a.Addr() || view.Nodes[0].State != NodeAlive {
			t.Errorf("nodes %+v", view.Nodes)
		}
		if len(view.Pairs) != 1 || view.Pairs[0].Key != toyKey || view.From != a.Addr() || view.At.IsZero() {
			t.Errorf("pairs %+v", view.Pairs)
		}
		p := Pair{Key: toyKey, Codec: "toy", Value: toy{"i2": {At: time.Now().Unix(), Text: "sent"}}.Encode()}
		if err := d.Send(t.Context(), a.Addr(), p); err != nil {
			t.Fatal(err)
		}
		await(t, "the sent entry is there", 10*time.Second, func() bool { return strings.Contains(a.view(), "sent") })
		if n := len(a.Members()); n != 1 {
			t.Errorf("asking made %d members", n)
		}
	}
}

// Pairs of codecs nobody knows are shown as they are by a view, and neither merged nor passed on by a member.
func TestUnknownCodecsAreOpaque(t *testing.T) {
	a := start(t, loopback("a"), tcp{})
	d := Dialer{Label: "test"}
	p := Pair{Key: "usagestats_token", Codec: "usagestats.jsonCodec", Value: []byte(`{"UID":"x"}`)}
	if err := d.Send(t.Context(), a.Addr(), p); err != nil {
		t.Fatal(err)
	}
	a.set(t, "i1", "x")
	view, err := d.Pull(t.Context(), a.Addr())
	if err != nil || len(view.Pairs) != 1 || view.Pairs[0].Key != toyKey {
		t.Errorf("pairs %+v, %v", view, err)
	}
	foreign := fakeMember(t, func(c net.Conn) {
		msg := append([]byte{wire.MsgPushPull}, "\x83\xa5Nodes\x00\xacUserStateLen"...)
		state := wire.AppendState(nil, p)
		msg = append(append(msg, 0xcd, byte(len(state)>>8), byte(len(state))), "\xa4Join\xc2"...)
		readAll(c, len(wire.AppendPull(wire.AppendLabel([]byte{wire.ConnStream}, "test"))))
		if _, err := c.Write(append(msg, state...)); err != nil {
			t.Error(err)
		}
	})
	view, err = d.Pull(t.Context(), foreign)
	if err != nil || len(view.Pairs) != 1 || string(view.Pairs[0].Value) != `{"UID":"x"}` {
		t.Errorf("opaque pair: %+v, %v", view, err)
	}
}

// fakeMember answers every connection with f.
func fakeMember(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func readAll(c net.Conn, n int) {
	buf := make([]byte, n)
	for n > 0 {
		k, err := c.Read(buf[:n])
		if err != nil {
			return
		}
		n -= k
	}
}

// diagnosis is a port that does not answer as asked, and what the error has to say.
type diagnosis struct {
	name string
	d    Dialer
	addr string
	want error
	text string
}

func (c diagnosis) check(t *testing.T) {
	t.Helper()
	_, err := c.d.Pull(t.Context(), c.addr)
	if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
		t.Errorf("%s: got %v", c.name, err)
	}
}

// Errors of an exchange tell what is probably wrong.
func TestDialerErrorsDiagnose(t *testing.T) {
	member := start(t, loopback("a"), tcp{})
	refusing := fakeMember(t, func(c net.Conn) {
		readAll(c, len(wire.AppendPull([]byte{wire.ConnStream})))
		if _, err := c.Write([]byte("\x0d\x81\xa5Error\xaecannot do that")); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []diagnosis{
		{"wrong label", Dialer{Label: "other"}, member.Addr(), ErrWrongLabel, `not "other"`},
		{"no label", Dialer{}, member.Addr(), ErrWrongLabel, "none was given"},
		{"plain port", Dialer{TLS: &tls.Config{InsecureSkipVerify: true}}, member.Addr(), ErrNoTLS, "without TLS"},
		{"refused by the member", Dialer{}, refusing, nil, "cannot do that"},
		{"nobody there", Dialer{}, "127.0.0.1:1", nil, "refused"},
		{"label too long", Dialer{Label: strings.Repeat("x", 256)}, member.Addr(), wire.ErrLabelTooLong, "255"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t) })
	}
}

// Ports that leave a question unanswered until the time is up.
func TestDialerDiagnosesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := host{newLAN(), "10.0.0.1"}
		serve := func(handler func(net.Listener)) string {
			l, err := h.Listen(t.Context(), "10.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go handler(l)
			t.Cleanup(func() { l.Close() })
			return l.Addr().String()
		}
		web := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
		t.Cleanup(func() { web.Close() })
		plain := serve(func(l net.Listener) { _ = web.Serve(l) })
		key, der, _ := certificate(t, nil, nil)
		secure := serve(func(l net.Listener) {
			_ = web.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
		})
		silent := serve(func(l net.Listener) {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
		})
		for _, c := range []diagnosis{
			{"http", Dialer{Dial: h.Dial}, plain, ErrNotGossip, "HTTP"},
			{"tls port", Dialer{Dial: h.Dial}, secure, ErrNeedsTLS, "use TLS"},
			{"silence", Dialer{Dial: h.Dial}, silent, ErrTimeout, "longer timeout"},
		} {
			c.check(t)
		}
	})
}

func TestPullLimits(t *testing.T) {
	a := start(t, loopback("a"), tcp{})
	a.set(t, "i1", strings.Repeat("x", 5000))
	if _, err := (Dialer{Label: "test", MaxState: 1000}).Pull(t.Context(), a.Addr()); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Errorf("over the limit: %v", err)
	}
	liar := fakeMember(t, func(c net.Conn) {
		_, _ = c.Write([]byte("\x06\x83\xa5Nodes\xce\xff\xff\xff\xff\xacUserStateLen\x00\xa4Join\xc2"))
	})
	if _, err := (Dialer{}).Pull(t.Context(), liar); err == nil || !strings.Contains(err.Error(), "nodes announced") {
		t.Errorf("four billion nodes: %v", err)
	}
}

// certificates writes a CA and a certificate for "gossip.test" and returns the settings.
func certificates(t *testing.T) TLS {
	t.Helper()
	dir := t.TempDir()
	caKey, caDER, ca := certificate(t, nil, nil)
	key, der, _ := certificate(t, ca, caKey)
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return TLS{
		CertPath: write("cert.pem", "CERTIFICATE", der), KeyPath: write("key.pem", "EC PRIVATE KEY", keyDER),
		CAPath: write("ca.pem", "CERTIFICATE", caDER), ServerName: "gossip.test",
	}
}

func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "gossip.test"}, DNSNames: []string{"gossip.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, der, cert
}

func TestTLSCluster(t *testing.T) {
	for _, mutual := range []bool{false, true} {
		files := certificates(t)
		files.ClientAuth = mutual
		secure := func(name string, join ...string) *running {
			cfg := loopback(name)
			cfg.TLSEnabled, cfg.TLS, cfg.JoinMembers = true, files, join
			cfg.AbortIfClusterFastJoinFails = len(join) > 0
			return start(t, cfg, tcp{})
		}
		a := secure("a")
		b := secure("b", a.Addr())
		a.set(t, "i1", "over TLS")
		await(t, "b hears it", 20*time.Second, func() bool { return strings.Contains(b.view(), "over TLS") })

		conf, err := files.Load()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Dialer{Label: "test", TLS: conf}).Pull(t.Context(), b.Addr()); err != nil {
			t.Errorf("mutual %v: pull with a certificate: %v", mutual, err)
		}
		bare := conf.Clone()
		bare.Certificates = nil
		_, err = (Dialer{Label: "test", TLS: bare}).Pull(t.Context(), b.Addr())
		if (err != nil) != mutual {
			t.Errorf("mutual %v: pull without a certificate: %v", mutual, err)
		}
		if _, err := (Dialer{Label: "test"}).Pull(t.Context(), b.Addr()); err == nil {
			t.Error("a TLS member answered in plain")
		}
	}
}

// TestPullIsInterrupted: who needs no answer any more does not wait for one until the deadline.
func TestPullIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // reads the question, never answers
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		d := Dialer{Timeout: time.Minute, Dial: func(context.Context, string) (net.Conn, error) { return ours, nil }}
		if _, err := d.Pull(ctx, "10.0.0.1:1"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
