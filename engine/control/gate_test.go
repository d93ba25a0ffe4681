package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// What the real processes are made of must fit.
var (
	_ Gossip     = (*gossip.Cluster)(nil)
	_ Downscaler = (*membership.Partition)(nil)
)

// certRequest is a form as a browser with a client certificate sends it.
func certRequest(verified bool, form url.Values) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/ingester/ring", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	if verified {
		req.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
	}
	return req
}

func TestClientCertificates(t *testing.T) {
	s := newStage(t)
	s.cfg.ClientCertificates, s.cfg.TokenFile = true, ""
	s.open()
	send := func(verified bool, csrf string) int {
		s.putRing("collectors/ring", pairs{"id": "dead", "state": "ACTIVE", "beat": "5m"})
		rec := httptest.NewRecorder()
		s.http.ServeHTTP(rec, certRequest(verified, url.Values{"forget": {"dead"}, "reason": {"gone"}, "csrf": {csrf}}))
		return rec.Code
	}
	if code := send(false, s.sign("/ingester/ring", s.now)); code != http.StatusUnauthorized {
		t.Errorf("an unverified certificate: %d", code)
	}
	if code := send(true, ""); code != http.StatusForbidden {
		t.Errorf("a certificate with a forged form: %d", code)
	}
	if code := send(true, s.sign("/ingester/ring", s.now)); code != http.StatusFound {
		t.Errorf("a certificate with a form of ours: %d", code)
	}
	if audit := s.showAudit(); !strings.Contains(audit, "cert:alice forget dead") {
		t.Errorf("audit: %s", audit)
	}
	req := httptest.NewRequest(http.MethodGet, "/ingester/ring", nil)
	req.TLS = certRequest(true, nil).TLS
	rec := httptest.NewRecorder()
	s.putRing("collectors/ring", pairs{"id": "dead", "state": "ACTIVE", "beat": "5m"})
	s.http.ServeHTTP(rec, req)
	if body := rec.Body.String(); strings.Contains(body, `name="token"`) || !strings.Contains(body, `name="csrf"`) {
		t.Error("the page asks the holder of a certificate for a token, or signs no form")
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	g := gate{tokenFile: path}
	check := func(content, token string) ringapi.Code {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.checkToken(token); err != nil {
			return ringapi.AsError(err).Code
		}
		return "ok"
	}
	for _, c := range []struct {
		content, token string
		want           ringapi.Code
	}{
		{"0123456789abcdef\n", "0123456789abcdef", "ok"},
		{"fedcba9876543210", "0123456789abcdef", ringapi.CodeDenied}, // changed without a restart
		{"short", "short", ringapi.CodeUnavailable},
		{"", "", ringapi.CodeUnavailable},
	} {
		if got := check(c.content, c.token); got != c.want {
			t.Errorf("file %q, token %q: %s, want %s", c.content, c.token, got, c.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := g.checkToken("x"); ringapi.AsError(err).Code != ringapi.CodeUnavailable {
		t.Errorf("a missing file: %v", err)
	}
}

// TestBodyLimit sends more than a request may carry.
func TestBodyLimit(t *testing.T) {
	s := newStage(t)
	huge := strings.Repeat("x", ringapi.MaxRequest+1)
	if got := s.exec([]string{"POST", "/ingester/ring", "bearer=" + adminToken, "forget=" + huge}); !strings.HasPrefix(got, "400") {
		t.Errorf("form: %.200s", got)
	}
	got := s.exec([]string{"POST", "/api/ring/v1/rings/ingester/forget", "bearer=" + adminToken, `json={"instance":"` + huge + `"}`})
	if !strings.HasPrefix(got, "400") {
		t.Errorf("API: %.200s", got)
	}
}

// brokenStore fails in every call.
type brokenStore struct{ *memkv.Store }

func (brokenStore) Get(context.Context, string) ([]byte, error) { return nil, errors.New("no leader") }
func (brokenStore) CAS(context.Context, string, func([]byte) ([]byte, bool, error)) error {
	return context.DeadlineExceeded
}

func TestStoreFailures(t *testing.T) {
	s := newStage(t)
	for i := range s.cfg.Rings {
		s.cfg.Rings[i].Store = brokenStore{s.store}
	}
	s.open()
	for _, w := range [][]string{
		{"GET", "/ingester/ring", "accept=application/json"}, {"GET", "/partition-ring", "accept=application/json"},
		{"GET", "/api/ring/v1/rings/ingester"}, {"GET", "/api/ring/v1/partition-rings/livestore-partitions"},
	} {
		if got := s.exec(w); !strings.HasPrefix(got, "503") || !strings.Contains(got, "no leader") {
			t.Errorf("%v: %s", w, got)
		}
	}
	got := s.exec([]string{"POST", "/api/ring/v1/rings/ingester/forget", "bearer=" + adminToken, `json={"instance":"a","reason":"r"}`})
	if !strings.HasPrefix(got, "504") || !strings.Contains(got, "may or may not") {
		t.Errorf("a change that timed out: %s", got)
	}
	if got := s.exec([]string{"GET", "/api/ring/v1/rings"}); !strings.HasPrefix(got, "200") || strings.Count(got, "no leader") != 3 {
		t.Errorf("the list must survive rings that cannot be read: %s", got)
	}
}

func TestNewRefuses(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store := memkv.New()
	r := Ring{Name: "a", Key: "k", Path: "/a", Store: store}
	for name, cfg := range map[string]Config{
		"no store":       {Rings: []Ring{{Name: "a", Key: "k", Path: "/a"}}},
		"twice":          {Rings: []Ring{r, r}},
		"no owners ring": {PartitionRings: []PartitionRing{{Name: "p", Key: "p", Path: "/p", Store: store, Instances: "a"}}},
	} {
		if _, err := New(cfg, log, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	c, err := New(Config{Rings: []Ring{r}}, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, p := range c.Paths() {
		mux.Handle(p, c.Handler())
	}
	for _, p := range []string{"/a", "/memberlist", "/api/ring/v1/rings"} {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, p, nil))
		if rec.Code != http.StatusOK {
			t.Errorf("%s through Paths: %d", p, rec.Code)
		}
	}
}

// TestManyAtOnce forgets members from many goroutines; each must go, each must be recorded once.
func TestManyAtOnce(t *testing.T) {
	s := newStage(t)
	const n = 6
	for i := range n {
		s.putRing("collectors/ring", pairs{"id": string(rune('a' + i)), "state": "ACTIVE", "beat": "5m"})
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			body := `{"reason":"r","instance":"` + string(rune('a'+i)) + `"}`
			req := httptest.NewRequest(http.MethodPost, ringapi.PathForget("ingester"), strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+adminToken)
			rec := httptest.NewRecorder()
			s.http.ServeHTTP(rec, req)
			if rec.Code != http.StatusOK {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	wg.Wait()
	if got := s.show("collectors/ring"); got != "" {
		t.Errorf("left over: %s", got)
	}
	if got := strings.Count(s.showAudit(), " forget "); got != n {
		t.Errorf("%d lines in the audit log", got)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"instance":"a","reason":"r","force":true,"ifHeartbeat":5}`))
	f.Add([]byte(`{"state":"ACTIVE","lock":true,"ifState":"PENDING","reason":"r"}`))
	f.Add([]byte(`{"owner":"a/1","reason":"r"} {}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []interface{ Validate() error }{&ringapi.ForgetRequest{}, &ringapi.PartitionRequest{}, &ringapi.OwnerRemoveRequest{}, &ringapi.PartitionRemoveRequest{}} {
			req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(b))
			if err := decode(req, v); err != nil {
				if ringapi.AsError(err).Code != ringapi.CodeInvalid {
					t.Errorf("%T: %v is no refusal of the request", v, err)
				}
				continue
			}
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if err := decode(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(again)), v); err != nil {
				t.Errorf("%s is taken, but not when written again: %v", again, err)
			}
		}
	})
}

func FuzzFormSignature(f *testing.F) {
	s := gate{secret: []byte("secret")}
	f.Add(s.sign("/p", epoch), "/p")
	f.Add("t6.AAAA", "/p")
	f.Fuzz(func(t *testing.T, value, path string) {
		good := s.sign(path, epoch)
		if err := s.checkForm(good, path, epoch); err != nil {
			t.Errorf("our own signature is refused: %v", err)
		}
		if err := s.checkForm(value, path, epoch); err == nil && value != good && !strings.HasPrefix(value, good[:6]) {
			t.Errorf("%q is taken for %q", value, path)
		}
	})
}

func FuzzViewValue(f *testing.F) {
	f.Add(ring.EncodeValue(&ring.Desc{Instances: map[string]ring.Instance{"a": {ID: "a", Tokens: []uint32{1}}}}), true)
	f.Add(partition.EncodeValue(partition.NewDesc()), false)
	f.Fuzz(func(t *testing.T, value []byte, instances bool) {
		p := gossip.Pair{Key: "k", Codec: partition.Codec, Value: value}
		if instances {
			p.Codec = ring.Codec
		}
		v, err := valueJSON(p)
		if err != nil {
			return
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("a value that decodes cannot be shown: %v", err)
		}
	})
}
