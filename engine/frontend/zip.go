package frontend

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// stretch is how much text is sent at a time. A stretch is compressed for itself,
// on a goroutine of its own, while the next one is made; what comes out is joined
// to one gzip stream, as pigz does. Larger ones compress hardly better.
const stretch = 128 << 10

// atOnce bounds the stretches of one answer that are compressed at the same time.
const atOnce = 4

// worthZipping is about what fits one packet.
const worthZipping = 1400

// zipped sends an answer, compressed when the client takes that and the text is
// large enough to gain from it. Not safe for concurrent use.
type zipped struct {
	http.ResponseWriter
	accepted bool
	begun    bool     // the answer is on its way
	under    []*piece // being compressed, oldest first
	sum      uint32   // CRC-32 of the text so far
	size     uint32   // length of the text so far
}

// piece is a stretch of text and what becomes of it.
type piece struct {
	own  []byte // memory for text that is made piece by piece
	text []byte
	last bool
	head []byte // in front of the compressed text
	tail []byte // behind it
	out  bytes.Buffer
	zip  *flate.Writer
	done chan struct{}
}

// pieces favour speed: a large answer would wait longer for gzip at its default
// level than for the search.
var pieces = sync.Pool{New: func() any {
	z, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		z = new(flate.Writer)
	}
	return &piece{zip: z, done: make(chan struct{}, 1)}
}}

func newPiece() *piece {
	p := pieces.Get().(*piece)
	p.head, p.tail, p.last = nil, nil, false
	return p
}

// free gives a piece back.
func (p *piece) free() {
	p.text = nil
	pieces.Put(p)
}

// gzipHead says deflate, no name, no time, compressed fast, on any system.
const gzipHead = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"

// compress fills out. Writes into memory do not fail.
func (p *piece) compress() {
	p.out.Reset()
	p.out.Write(p.head)
	p.zip.Reset(&p.out)
	p.zip.Write(p.text) //nolint:errcheck // into memory
	if p.last {
		p.zip.Close() //nolint:errcheck // into memory
	} else {
		p.zip.Flush() //nolint:errcheck // into memory
	}
	p.out.Write(p.tail)
}

// begin sets the headers.
func (z *zipped) begin(contentType string, zip bool) {
	h := z.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	if zip {
		h.Set("Content-Encoding", "gzip")
	}
	z.begun = true
}

// body sends a whole body.
func (z *zipped) body(contentType string, b []byte) error {
	zip := z.accepted && len(b) >= worthZipping
	z.begin(contentType, zip)
	if !zip {
		_, err := z.Write(b)
		return err
	}
	for {
		p := newPiece()
		p.text = b[:min(len(b), stretch)]
		b = b[len(p.text):]
		if err := z.next(p, len(b) == 0); err != nil || len(b) == 0 {
			return err
		}
	}
}

// next compresses a piece and sends those that are ready for it. After the last
// one everything is sent. The piece must not be used afterwards.
func (z *zipped) next(p *piece, last bool) error {
	first := z.size == 0
	if first {
		p.head = []byte(gzipHead)
	}
	z.sum = crc32.Update(z.sum, crc32.IEEETable, p.text)
	z.size += uint32(len(p.text))
	if p.last = last; last {
		p.tail = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, z.sum), z.size)
	}
	if first && last {
		p.compress()
		defer p.free()
		z.Header().Set("Content-Length", strconv.Itoa(p.out.Len()))
		_, err := z.Write(p.out.Bytes())
		return err
	}
	z.under = append(z.under, p)
	go func() {
		p.compress()
		p.done <- struct{}{}
	}()
	most := min(atOnce, runtime.GOMAXPROCS(0))
	if last {
		most = 0
	}
	for len(z.under) > most {
		if err := z.oldest(); err != nil {
			return err
		}
	}
	return nil
}

// oldest waits for the oldest piece and sends it.
func (z *zipped) oldest() error {
	p := z.under[0]
	z.under = z.under[1:]
	<-p.done
	_, err := z.Write(p.out.Bytes())
	p.free()
	return err
}

// stop waits for the goroutines of an answer that ended before its last piece.
func (z *zipped) stop() {
	for _, p := range z.under {
		<-p.done
		p.free()
	}
	z.under = nil
}

// write sends a body through the response writer that route made.
func write(w http.ResponseWriter, contentType string, b []byte) error {
	return w.(*zipped).body(contentType, b)
}

// text is a body that is sent while it is made. Whoever makes it appends to what
// begin and more return.
type text struct {
	z           *zipped
	contentType string
	room        room
	padIDs      bool   // trace ids have all their digits
	at          *piece // whose memory is in use
}

// begin returns the memory for the first stretch.
func (t *text) begin() []byte {
	t.at = newPiece()
	return t.at.own[:0]
}

// more is called after each element. An error before the first stretch is full
// can still be told to the client.
func (t *text) more(b []byte) ([]byte, error) {
	switch {
	case len(b) >= stretch:
		return t.full(b)
	case t.z.begun:
		return b, t.room.ctx.Err()
	}
	return b, t.room.fits(len(b))
}

// full sends a stretch. The first one takes the memory for all that follow.
func (t *text) full(b []byte) ([]byte, error) {
	if !t.z.begun {
		if err := t.room.fits(2 * len(b) * (atOnce + 1)); err != nil {
			return nil, err
		}
		t.z.begin(t.contentType, t.z.accepted)
	} else if err := t.room.ctx.Err(); err != nil {
		return nil, err
	}
	if !t.z.accepted {
		_, err := t.z.Write(b)
		return b[:0], err
	}
	t.at.own, t.at.text = b, b
	if err := t.z.next(t.at, false); err != nil {
		return nil, err
	}
	return t.begin(), nil
}

// end sends the rest.
func (t *text) end(b []byte) error {
	p := t.at
	p.own, p.text = b, b
	switch {
	case !t.z.begun && t.z.accepted && len(b) >= worthZipping:
		t.z.begin(t.contentType, true)
		return t.z.next(p, true)
	case t.z.begun && t.z.accepted:
		return t.z.next(p, true)
	case !t.z.begun:
		t.z.begin(t.contentType, false)
	}
	_, err := t.z.Write(b)
	p.free()
	return err
}

// takesGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3): gzip by
// its name, else by the asterisk, unless plain text is liked better.
func takesGzip(header string) bool {
	gzip, plain, others := -1.0, 0.0, 0.0
	for option := range strings.SplitSeq(header, ",") {
		name, parameter, _ := strings.Cut(option, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				weight = 0
			}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			gzip = weight
		case "identity":
			plain = weight
		case "*":
			others = weight
		}
	}
	if gzip < 0 {
		gzip = others
	}
	return gzip > 0 && gzip >= plain
}
