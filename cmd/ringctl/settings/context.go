package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// Duration is a time.Duration that is text like "1m30s" in YAML and JSON.
type Duration time.Duration

// MarshalText writes the text of the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the text of a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// TLS names the files of a TLS configuration.
type TLS struct {
	Enabled    bool   `yaml:"enabled,omitempty" json:"enabled,omitempty"`
	CA         string `yaml:"ca,omitempty" json:"ca,omitempty"`
	Cert       string `yaml:"cert,omitempty" json:"cert,omitempty"`
	Key        string `yaml:"key,omitempty" json:"key,omitempty"`
	ServerName string `yaml:"serverName,omitempty" json:"serverName,omitempty"`
	Insecure   bool   `yaml:"insecureSkipVerify,omitempty" json:"insecureSkipVerify,omitempty"`
}

// Ring overrides what is known about one ring.
type Ring struct {
	ReplicationFactor int      `yaml:"replicationFactor,omitempty" json:"replicationFactor,omitempty"`
	ZoneAware         *bool    `yaml:"zoneAware,omitempty" json:"zoneAware,omitempty"`
	HeartbeatTimeout  Duration `yaml:"heartbeatTimeout,omitempty" json:"heartbeatTimeout,omitempty"`
	Stateless         bool     `yaml:"stateless,omitempty" json:"stateless,omitempty"`
}

// Context is one cluster.
type Context struct {
	Seeds            []string        `yaml:"seeds,omitempty" json:"seeds,omitempty"`
	HTTP             []string        `yaml:"http,omitempty" json:"http,omitempty"`
	Label            string          `yaml:"label,omitempty" json:"label,omitempty"`
	Product          string          `yaml:"product,omitempty" json:"product,omitempty"`
	TLS              TLS             `yaml:"tls,omitempty" json:"tls,omitzero"`
	Timeout          Duration        `yaml:"timeout,omitempty" json:"timeout,omitempty"`
	HeartbeatTimeout Duration        `yaml:"heartbeatTimeout,omitempty" json:"heartbeatTimeout,omitempty"`
	Rings            map[string]Ring `yaml:"rings,omitempty" json:"rings,omitempty"`
	// ReadOnly refuses every change through this context.
	ReadOnly bool `yaml:"readOnly,omitempty" json:"readOnly,omitempty"`
}

// File is the context file.
type File struct {
	Current  string             `yaml:"current,omitempty"`
	Contexts map[string]Context `yaml:"contexts"`
}

// Dirs are the folders of one user.
type Dirs struct {
	Config, State string
}

// FindDirs applies the XDG rules to an environment; getenv is os.Getenv outside of tests.
func FindDirs(getenv func(string) string) Dirs {
	home := getenv("HOME")
	dir := func(name, fallback string) string {
		if d := getenv(name); filepath.IsAbs(d) {
			return filepath.Join(d, "ringctl")
		}
		return filepath.Join(home, fallback, "ringctl")
	}
	return Dirs{Config: dir("XDG_CONFIG_HOME", ".config"), State: dir("XDG_STATE_HOME", ".local/state")}
}

// Path is the path of the context file.
func (d Dirs) Path() string { return filepath.Join(d.Config, "config.yaml") }

// maxFile bounds the context file.
const maxFile = 1 << 20

// Load reads the context file. A missing file is an empty one; unknown keys are mistakes.
func (d Dirs) Load() (*File, error) {
	f := &File{Contexts: map[string]Context{}}
	raw, err := os.ReadFile(d.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read contexts: %w", err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("read contexts: %s is larger than %d bytes", d.Path(), maxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(f); err != nil && len(bytes.TrimSpace(raw)) > 0 {
		return nil, fmt.Errorf("read contexts: %s: %w", d.Path(), err)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]Context{}
	}
	return f, nil
}

// Save writes the context file: under another name first, so that a crash leaves the old one.
func (d Dirs) Save(f *File) error {
	raw, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	if err := os.MkdirAll(d.Config, 0o700); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	tmp, err := os.CreateTemp(d.Config, ".config-*")
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone once it was renamed
	_, err = tmp.Write(raw)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), d.Path())
	}
	if err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return nil
}

// Names are the names of the contexts, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Contexts))
	for n := range f.Contexts {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
