package wire

import (
	"bytes"
	"compress/lzw"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
)

// Compression algorithms as numbered on the wire. Snappy is known to the dskit family but not to upstream memberlist,
// which is why compressed messages are opened here, before memberlist sees them.
const (
	LZW    = 0
	Snappy = 1
)

// The same algorithms by the names that configurations use.
const (
	CompressionLZW    = "lzw"
	CompressionSnappy = "snappy"
)

const lzwWidth = 8

// ErrTooLarge reports a message that is, or claims to be, larger than the limit once it is decompressed.
var ErrTooLarge = errors.New("decompressed message is larger than the limit")

// Decompress opens one compressed message, at most limit bytes of it.
func Decompress(algo int, b []byte, limit int) ([]byte, error) {
	switch algo {
	case LZW:
		r := lzw.NewReader(bytes.NewReader(b), lzw.LSB, lzwWidth)
		defer r.Close()
		out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
		if err != nil {
			return nil, fmt.Errorf("lzw: %w", err)
		}
		if len(out) > limit {
			return nil, fmt.Errorf("lzw: %w (%d bytes)", ErrTooLarge, limit)
		}
		return out, nil
	case Snappy:
		n, err := snappy.DecodedLen(b)
		if err != nil {
			return nil, fmt.Errorf("snappy: %w", err)
		}
		if n > limit {
			return nil, fmt.Errorf("snappy: %w (%d of %d bytes)", ErrTooLarge, n, limit)
		}
		out, err := snappy.Decode(nil, b)
		if err != nil {
			return nil, fmt.Errorf("snappy: %w", err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("unknown compression algorithm %d", algo)
}

// readCompressed reads a compress message after its type byte and returns the message inside.
func readCompressed(r io.Reader, limit int) ([]byte, error) {
	algo, body := -1, []byte(nil)
	err := (&mpReader{r: r, left: limit + maxHeader}).fields(func(name string, v any) {
		switch name {
		case "Algo":
			algo = mpInt(v)
		case "Buf":
			body = mpBytes(v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compressed message: %w", err)
	}
	out, err := Decompress(algo, body, limit)
	if err != nil {
		return nil, fmt.Errorf("compressed message: %w", err)
	}
	if len(out) == 0 {
		return nil, errors.New("compressed message: nothing inside")
	}
	return out, nil
}

// Compress wraps a message with the named algorithm ("lzw" or "snappy"), or returns it as it is when that would
// not make it smaller.
func Compress(algorithm string, msg []byte) []byte {
	algo, body := Snappy, []byte(nil)
	if algorithm == CompressionLZW {
		var buf bytes.Buffer
		w := lzw.NewWriter(&buf, lzw.LSB, lzwWidth)
		if _, err := w.Write(msg); err != nil || w.Close() != nil {
			return msg
		}
		algo, body = LZW, buf.Bytes()
	} else {
		body = snappy.Encode(nil, msg)
	}
	out := appendMapHeader(append(make([]byte, 0, len(body)+32), msgCompress), 2)
	out = appendInt(appendRaw(out, "Algo"), algo)
	out = appendRaw(appendRaw(out, "Buf"), string(body))
	if len(out) >= len(msg) {
		return msg
	}
	return out
}
