// Package s3 keeps a bucket on S3 or a store that speaks its protocol (MinIO,
// Ceph, Google's interoperability endpoint).
//
// Objects up to 16 MiB are sent in one request, larger ones in parts; a request
// that fails for a passing reason is tried again. An upload becomes visible
// when its last request succeeds, and a failed one is aborted.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ringctl/ringctl/engine/bucket"
)

// partSize is the size of the parts of an upload; it is also the memory that
// one Put takes. 10,000 parts make objects of up to 156 GiB.
const partSize = 16 << 20

// readTries is how often ReadAt takes up a body that broke off.
const readTries = 3

// Bucket is a bucket on S3. It implements [bucket.Bucket].
type Bucket struct {
	core   minio.Core
	name   string
	host   string
	prefix string
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open connects to the bucket and checks that it exists. The error wraps
// [bucket.ErrNoBucket] or [bucket.ErrDenied] when that is the reason.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	transport, err := transport(&c)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if c.ForcePathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(c.Endpoint, &minio.Options{
		Creds:        creds(&c),
		Secure:       !c.Insecure,
		Transport:    transport,
		Region:       c.Region,
		BucketLookup: lookup,
		MaxRetries:   c.MaxRetries,
	})
	if err != nil {
		return nil, fmt.Errorf("s3 endpoint %q: %w", c.Endpoint, err)
	}
	b := &Bucket{core: minio.Core{Client: client}, name: c.Bucket, host: c.Endpoint, prefix: strings.Trim(c.Prefix, "/")}
	if b.prefix != "" {
		b.prefix += "/"
	}
	ok, err := client.BucketExists(ctx, c.Bucket)
	if err != nil {
		return nil, b.explain(ctx, "open", "", err)
	}
	if !ok {
		return nil, fmt.Errorf("open bucket %q at %s: %w", b.name, b.host, bucket.ErrNoBucket)
	}
	return b, nil
}

func creds(c *Config) *credentials.Credentials {
	if c.AccessKey != "" {
		return credentials.NewStaticV4(c.AccessKey, string(c.SecretKey), string(c.SessionToken))
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{},
		&credentials.EnvMinio{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{},
	})
}

// transport gives up on servers that do not answer; bodies may take as long as
// the caller's context allows.
func transport(c *Config) (http.RoundTripper, error) {
	tls, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tls,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: 10 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   256,
		DisableCompression:    true, // objects come back as they were put
		ForceAttemptHTTP2:     false,
	}, nil
}

func (b *Bucket) key(name string) (string, error) {
	if err := bucket.CheckName(name); err != nil {
		return "", err
	}
	return b.prefix + name, nil
}

// explain names the operation, object, bucket and server, and marks the known
// causes.
func (b *Bucket) explain(ctx context.Context, op, name string, err error) error {
	var s3err minio.ErrorResponse
	switch {
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	case errors.As(err, &s3err):
		if cause := causeOf(&s3err); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	if name == "" {
		return fmt.Errorf("%s bucket %q at %s: %w", op, b.name, b.host, err)
	}
	return fmt.Errorf("%s %q in bucket %q at %s: %w", op, b.prefix+name, b.name, b.host, err)
}

func causeOf(e *minio.ErrorResponse) error {
	switch e.Code {
	case "NoSuchKey", "NoSuchVersion":
		return bucket.ErrNotFound
	case "NoSuchBucket":
		return bucket.ErrNoBucket
	case "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken":
		return bucket.ErrDenied
	}
	switch e.StatusCode {
	case http.StatusNotFound:
		return bucket.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return bucket.ErrDenied
	}
	return nil
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	r = bucket.Exact(ctx, r, size)
	if size >= 0 && size <= partSize {
		// From memory, so that the request can be tried again.
		buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
		if _, err := buf.ReadFrom(r); err != nil {
			return b.explain(ctx, "put", name, err)
		}
		r = bytes.NewReader(buf.Bytes())
	}
	_, err = b.core.Client.PutObject(ctx, b.name, key, r, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream",
		PartSize:    partSize,
		// A checksum that every store knows, instead of a signature over the
		// body, whose chunked form some cannot read.
		SendContentMd5:       true,
		DisableContentSha256: true,
	})
	if err != nil {
		return b.explain(ctx, "put", name, err)
	}
	return nil
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, err
	}
	body, _, _, err := b.core.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.explain(ctx, "get", name, err)
	}
	return body, nil
}

// ReadAt implements bucket.Bucket.
func (b *Bucket) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		_, err := b.Stat(ctx, name)
		return 0, err
	}
	n := 0
	for try := 1; ; try++ {
		got, err := b.readRange(ctx, name, p[n:], off+int64(n))
		n += got
		if n == len(p) {
			return n, nil
		}
		if err == io.EOF { //nolint:errorlint // a wrapped one is a body that broke off: that is tried again
			return n, io.EOF
		}
		var s3err minio.ErrorResponse
		if errors.As(err, &s3err) || errors.Is(err, bucket.ErrName) || ctx.Err() != nil || try == readTries {
			return n, err
		}
	}
}

// readRange makes one request. io.EOF says that the object ends before p is
// full; other errors of the body leave what was read in p.
func (b *Bucket) readRange(ctx context.Context, name string, p []byte, off int64) (int, error) {
	key, err := b.key(name)
	if err != nil {
		return 0, err
	}
	var o minio.GetObjectOptions
	if err := o.SetRange(off, off+int64(len(p))-1); err != nil {
		return 0, b.explain(ctx, "read", name, err)
	}
	body, info, _, err := b.core.GetObject(ctx, b.name, key, o)
	if err != nil {
		var s3err minio.ErrorResponse
		if errors.As(err, &s3err) && s3err.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return 0, io.EOF
		}
		return 0, b.explain(ctx, "read", name, err)
	}
	defer body.Close()
	n, err := io.ReadFull(body, p)
	switch {
	case err == nil:
		return n, nil
	case (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && int64(n) >= info.Size:
		return n, io.EOF // the server sent all that it announced
	}
	return n, b.explain(ctx, "read", name, err)
}

// List implements bucket.Bucket.
func (b *Bucket) List(ctx context.Context, prefix string, f func(bucket.Object) error) error {
	if prefix != "" {
		if err := bucket.CheckName(strings.TrimSuffix(prefix, "/")); err != nil {
			return err
		}
	}
	for o := range b.core.Client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return b.explain(ctx, "list", prefix, o.Err)
		}
		name := strings.TrimPrefix(o.Key, b.prefix)
		if bucket.CheckName(name) != nil {
			continue // not ours: a folder mark or a foreign object
		}
		if err := f(bucket.Object{Name: name, Size: o.Size, Modified: o.LastModified}); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return b.explain(ctx, "list", prefix, err)
	}
	return nil
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	key, err := b.key(name)
	if err != nil {
		return err
	}
	if err := b.core.Client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}); err != nil {
		if err = b.explain(ctx, "delete", name, err); !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, name string) (bucket.Object, error) {
	key, err := b.key(name)
	if err != nil {
		return bucket.Object{}, err
	}
	info, err := b.core.Client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		return bucket.Object{}, b.explain(ctx, "stat", name, err)
	}
	return bucket.Object{Name: name, Size: info.Size, Modified: info.LastModified}, nil
}
