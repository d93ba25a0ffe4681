package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Config says where the bucket is and how to get in. Keys are named as in
// Tempo's storage.trace.s3.
type Config struct {
	Bucket   string `yaml:"bucket"`
	Endpoint string `yaml:"endpoint"` // host or host:port, without a scheme
	Region   string `yaml:"region"`   // empty: asked from the server
	Prefix   string `yaml:"prefix"`   // put in front of all names

	// AccessKey and SecretKey; when both are empty, credentials come from the
	// environment (AWS_*, MINIO_*), the shared credentials file or the
	// instance's role.
	AccessKey    string `yaml:"access_key"`
	SecretKey    Secret `yaml:"secret_key"`
	SessionToken Secret `yaml:"session_token"`

	Insecure       bool `yaml:"insecure"`       // plain HTTP
	ForcePathStyle bool `yaml:"forcepathstyle"` // host/bucket instead of bucket.host

	TLSCAPath             string `yaml:"tls_ca_path"`
	TLSCertPath           string `yaml:"tls_cert_path"`
	TLSKeyPath            string `yaml:"tls_key_path"`
	TLSServerName         string `yaml:"tls_server_name"`
	TLSInsecureSkipVerify bool   `yaml:"tls_insecure_skip_verify"`

	// MaxRetries is how often one request is tried, 0 means 10.
	MaxRetries int `yaml:"max_retries"`
}

// Secret is a text that prints as stars.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret, also in printed configurations.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Validate reports every mistake at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Bucket == "" {
		errs = append(errs, errors.New("s3.bucket: no bucket given"))
	}
	if c.Endpoint == "" {
		errs = append(errs, errors.New("s3.endpoint: no endpoint given, such as s3.eu-central-1.amazonaws.com"))
	}
	if strings.Contains(c.Endpoint, "/") {
		errs = append(errs, fmt.Errorf("s3.endpoint: want host or host:port without scheme or path, got %q", c.Endpoint))
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		errs = append(errs, errors.New("s3.access_key and s3.secret_key: set both or none"))
	}
	if c.SessionToken != "" && c.AccessKey == "" {
		errs = append(errs, errors.New("s3.session_token: needs s3.access_key"))
	}
	if (c.TLSCertPath == "") != (c.TLSKeyPath == "") {
		errs = append(errs, errors.New("s3.tls_cert_path and s3.tls_key_path: set both or none"))
	}
	if c.MaxRetries < 0 {
		errs = append(errs, fmt.Errorf("s3.max_retries: must not be negative, got %d", c.MaxRetries))
	}
	return errors.Join(errs...)
}

// tlsConfig reads the certificates.
func (c *Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName, InsecureSkipVerify: c.TLSInsecureSkipVerify}
	if c.TLSCAPath != "" {
		pem, err := os.ReadFile(c.TLSCAPath)
		if err != nil {
			return nil, fmt.Errorf("s3.tls_ca_path: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("s3.tls_ca_path: no certificate in %s", c.TLSCAPath)
		}
	}
	if c.TLSCertPath != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCertPath, c.TLSKeyPath)
		if err != nil {
			return nil, fmt.Errorf("s3.tls_cert_path: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
