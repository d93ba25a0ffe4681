package control

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// gate decides who may change something. The zero gate lets nobody.
type gate struct {
	tokenFile   string // read at each use, so that a token can be changed without a restart
	clientCerts bool   // a verified client certificate is a credential
	secret      []byte // signs the forms of this process
	cross       *http.CrossOriginProtection
}

// minToken is the shortest bearer token that is taken seriously.
const minToken = 16

// open tells whether anybody may change anything here.
func (g *gate) open() bool { return g.tokenFile != "" || g.clientCerts }

// admit checks the credential of a request that wants to change something, and names its bearer. A bearer
// header cannot be forged by a foreign page; a certificate, or a token typed into a form, is accepted only
// with a form that this process signed.
func (g *gate) admit(r *http.Request, now time.Time) (actor string, err error) {
	if !g.open() {
		return "", &ringapi.Error{Code: ringapi.CodeDenied, Message: "changes over HTTP are off on this server",
			Hint: "set ring_admin.token_file, or use ringctl over the gossip port"}
	}
	if err := g.sameSite(r); err != nil {
		return "", err
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return "token", g.checkToken(bearer)
	}
	if actor = g.certificate(r); actor == "" {
		if !isForm(r) || r.PostFormValue("token") == "" {
			return "", &ringapi.Error{Code: ringapi.CodeUnauthenticated, Message: "a credential is needed to change something",
				Hint: "send Authorization: Bearer with the token of ring_admin.token_file, or use a client certificate"}
		}
		if err := g.checkToken(r.PostFormValue("token")); err != nil {
			return "", err
		}
		actor = "token"
	}
	if isForm(r) {
		return actor, g.checkForm(r.PostFormValue("csrf"), r.URL.Path, now)
	}
	if r.Header.Get("Content-Type") != "application/json" {
		return "", &ringapi.Error{Code: ringapi.CodeInvalid, Message: "the body must be application/json"}
	}
	return actor, nil
}

// sameSite refuses what a browser sends on behalf of another site.
func (g *gate) sameSite(r *http.Request) error {
	if err := g.cross.Check(r); err != nil {
		return &ringapi.Error{Code: ringapi.CodeDenied, Message: "the request comes from another site: " + err.Error()}
	}
	return nil
}

// certificate is the name in a verified client certificate, or "".
func (g *gate) certificate(r *http.Request) string {
	if !g.clientCerts || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return "cert:" + r.TLS.PeerCertificates[0].Subject.CommonName
}

func (g *gate) checkToken(got string) error {
	if g.tokenFile == "" {
		return &ringapi.Error{Code: ringapi.CodeDenied, Message: "this server takes client certificates, not tokens"}
	}
	want, err := readToken(g.tokenFile)
	if err != nil {
		return &ringapi.Error{Code: ringapi.CodeUnavailable, Message: err.Error()}
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return &ringapi.Error{Code: ringapi.CodeDenied, Message: "wrong token"}
	}
	return nil
}

// CheckTokenFile tells what is wrong with a file of Config.TokenFile: an error of the
// system, or a token that is too short. No file is fine: nobody may change anything.
func CheckTokenFile(path string) error {
	if path == "" {
		return nil
	}
	_, err := readToken(path)
	return err
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < minToken {
		return "", fmt.Errorf("the admin token in %s has %d characters, at least %d are needed", path, len(token), minToken)
	}
	return token, nil
}

// formLife is how long a form may be looked at before it is sent.
const formLife = time.Hour

// sign makes the hidden value of a form: a time, and a signature over time and path.
func (g *gate) sign(path string, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 36)
	return at + "." + base64.RawURLEncoding.EncodeToString(g.mac(at, path))
}

func (g *gate) mac(at, path string) []byte {
	h := hmac.New(sha256.New, g.secret)
	h.Write([]byte(at + " " + path))
	return h.Sum(nil)
}

func (g *gate) checkForm(value, path string, now time.Time) error {
	at, sig, _ := strings.Cut(value, ".")
	made, err := strconv.ParseInt(at, 36, 64)
	raw, err2 := base64.RawURLEncoding.DecodeString(sig)
	if err != nil || err2 != nil || !hmac.Equal(raw, g.mac(at, path)) {
		return &ringapi.Error{Code: ringapi.CodeDenied, Message: "the form was not made by this process",
			Hint: "reload the page and try again; scripts should send Authorization: Bearer"}
	}
	if age := now.Sub(time.Unix(made, 0)); age < -time.Minute || age > formLife {
		return &ringapi.Error{Code: ringapi.CodeDenied, Message: "the form is too old", Hint: "reload the page and try again"}
	}
	return nil
}

func isForm(r *http.Request) bool {
	ct := r.Header.Get("Content-Type")
	return strings.HasPrefix(ct, "application/x-www-form-urlencoded") || strings.HasPrefix(ct, "multipart/form-data")
}
