package gossip

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLS holds the TLS settings of the gossip port. One certificate serves both directions.
type TLS struct {
	CertPath           string `yaml:"tls_cert_path"`
	KeyPath            string `yaml:"tls_key_path"`
	CAPath             string `yaml:"tls_ca_path"`
	ServerName         string `yaml:"tls_server_name"` // members are dialed by address, so name what their certificates say
	InsecureSkipVerify bool   `yaml:"tls_insecure_skip_verify"`
	CipherSuites       string `yaml:"tls_cipher_suites"` // comma separated names
	MinVersion         string `yaml:"tls_min_version"`   // VersionTLS12, VersionTLS13, …
	// ClientAuth asks dialing members for a certificate of the same CA (ours). The dskit family never presents one
	// it was not asked for, but does present the one it has, so mutual TLS works in mixed clusters, too.
	ClientAuth bool `yaml:"tls_require_client_certificate"`
}

// Validate checks the settings without reading files.
func (t TLS) Validate() error {
	if t.CertPath == "" || t.KeyPath == "" {
		return errors.New("tls: tls_cert_path and tls_key_path are both needed: every member listens")
	}
	if t.ClientAuth && t.CAPath == "" {
		return errors.New("tls: tls_require_client_certificate needs tls_ca_path")
	}
	_, err := t.suites()
	if err == nil {
		_, err = t.version()
	}
	return err
}

// Load reads the files and returns one configuration for listening and dialing. Without a certificate the result
// serves for dialing only.
func (t TLS) Load() (*tls.Config, error) {
	suites, err := t.suites()
	if err != nil {
		return nil, err
	}
	version, err := t.version()
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify,
		CipherSuites:       suites,
		MinVersion:         version,
	}
	if t.CertPath != "" || t.KeyPath != "" {
		cert, err := tls.LoadX509KeyPair(t.CertPath, t.KeyPath)
		if err != nil {
			return nil, fmt.Errorf("tls: certificate and key: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	if t.CAPath != "" {
		pem, err := os.ReadFile(t.CAPath)
		if err != nil {
			return nil, fmt.Errorf("tls: CA file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: CA file %s holds no certificate", t.CAPath)
		}
		conf.RootCAs, conf.ClientCAs = pool, pool
	}
	if t.ClientAuth {
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return conf, nil
}

func (t TLS) suites() ([]uint16, error) {
	var out []uint16
	for name := range strings.SplitSeq(t.CipherSuites, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		id, ok := cipherSuite(name)
		if !ok {
			return nil, fmt.Errorf("tls_cipher_suites: unknown suite %q", name)
		}
		out = append(out, id)
	}
	return out, nil
}

func cipherSuite(name string) (uint16, bool) {
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if s.Name == name {
			return s.ID, true
		}
	}
	return 0, false
}

func (t TLS) version() (uint16, error) {
	switch t.MinVersion {
	case "":
		return tls.VersionTLS12, nil
	case "VersionTLS10":
		return tls.VersionTLS10, nil
	case "VersionTLS11":
		return tls.VersionTLS11, nil
	case "VersionTLS12":
		return tls.VersionTLS12, nil
	case "VersionTLS13":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("tls_min_version: unknown version %q, want VersionTLS12 or VersionTLS13", t.MinVersion)
}
