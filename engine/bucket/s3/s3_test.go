package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gopkg.in/yaml.v3"

	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/buckettest"
	"github.com/ringctl/ringctl/engine/bucket/s3"
)

// fake starts an S3 server in this process with one bucket, "traces". wrap may
// stand in front of it.
func fake(t *testing.T, wrap func(http.Handler) http.Handler) s3.Config {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("traces"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return s3.Config{
		Bucket: "traces", Endpoint: strings.TrimPrefix(server.URL, "http://"), Region: "us-east-1",
		AccessKey: "key", SecretKey: "secret", Insecure: true, ForcePathStyle: true,
	}
}

func open(t *testing.T, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAcceptance(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket { return open(t, fake(t, nil)) })
}

func TestAcceptanceWithPrefix(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		c := fake(t, nil)
		if err := open(t, c).Put(t.Context(), "foreign", strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
		c.Prefix = "/some/prefix/"
		return open(t, c)
	})
}

// Against a real server, when RINGCTL_TEST_S3 names one:
// http://key:secret@host:port/bucket.
func TestAcceptanceOnServer(t *testing.T) {
	where := os.Getenv("RINGCTL_TEST_S3")
	if where == "" {
		t.Skip("RINGCTL_TEST_S3 is not set")
	}
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	n := 0
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		n++
		b := open(t, s3.Config{
			Bucket: strings.Trim(u.Path, "/"), Endpoint: u.Host, AccessKey: u.User.Username(), SecretKey: s3.Secret(secret),
			Insecure: u.Scheme == "http", ForcePathStyle: true, Prefix: fmt.Sprintf("ringctl-test-%d-%d", os.Getpid(), n),
		})
		t.Cleanup(func() {
			if _, err := bucket.DeletePrefix(context.Background(), b, ""); err != nil {
				t.Error(err)
			}
		})
		return b
	})
}

// Errors say what is wrong, with which object, where.
func TestErrorsAreClear(t *testing.T) {
	c := fake(t, nil)
	missing := c
	missing.Bucket = "absent"
	_, err := s3.Open(t.Context(), missing)
	wants(t, err, bucket.ErrNoBucket, "absent", c.Endpoint)

	denied := fake(t, func(http.Handler) http.Handler { return http.HandlerFunc(deny) })
	_, err = s3.Open(t.Context(), denied)
	wants(t, err, bucket.ErrDenied, "traces", denied.Endpoint)

	b := open(t, c)
	_, err = b.Get(t.Context(), "tenant/block/meta.json")
	wants(t, err, bucket.ErrNotFound, "tenant/block/meta.json", "traces", c.Endpoint)

	err = (&s3.Config{Endpoint: "http://x", AccessKey: "a"}).Validate()
	wants(t, err, err, "s3.bucket", "s3.endpoint", "s3.secret_key")
}

func deny(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
}

func wants(t *testing.T, err, is error, words ...string) {
	t.Helper()
	if err == nil || !errors.Is(err, is) {
		t.Fatalf("%v, want %v", err, is)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("%q does not name %q", err, w)
		}
	}
}

// A server that is busy, and a body that breaks off, are tried again.
func TestPassingFaultsAreRetried(t *testing.T) {
	var busy, cut atomic.Int32
	b := open(t, fake(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && busy.Add(-1) >= 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			if r.Header.Get("Range") != "" && cut.Add(-1) >= 0 {
				w = &cutter{ResponseWriter: w, left: 100}
			}
			next.ServeHTTP(w, r)
		})
	}))
	busy.Store(1)
	content := strings.Repeat("0123456789", 100)
	if err := b.Put(t.Context(), "a", strings.NewReader(content), 1000); err != nil {
		t.Fatal(err)
	}
	cut.Store(2)
	p := make([]byte, 500)
	if n, err := b.ReadAt(t.Context(), "a", p, 5); err != nil || n != 500 || string(p) != content[5:505] {
		t.Fatalf("%d bytes, %v", n, err)
	}
	cut.Store(3)
	if n, err := b.ReadAt(t.Context(), "a", p, 5); err == nil || n != 300 || errors.Is(err, bucket.ErrNotFound) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// cutter ends a body after a number of bytes although more was announced.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 && err == nil {
		err = errors.New("cut")
	}
	return n, err
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := s3.Config{AccessKey: "visible", SecretKey: "hidden", SessionToken: "hidden"}
	text, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), fmt.Sprintf("%v %+v %#v", c, c, c)} {
		if strings.Contains(s, "hidden") || !strings.Contains(s, "visible") {
			t.Fatal(s)
		}
	}
	var back s3.Config
	if err := yaml.Unmarshal([]byte("secret_key: abc"), &back); err != nil || back.SecretKey != "abc" {
		t.Fatal(err)
	}
}
