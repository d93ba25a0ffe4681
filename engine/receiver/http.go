package receiver

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/engine/trace"
)

const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

func (r *Receiver) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("/v1/traces", r.tracesHandler())
	return &http.Server{
		Handler:           mux,
		TLSConfig:         r.cfg.HTTPTLS,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      answerTime,
		IdleTimeout:       2 * time.Minute,
	}
}

// answerTime is how long a sender has to read its answer.
const answerTime = 30 * time.Second

// httpExport serves POST /v1/traces.
type httpExport struct {
	r       *Receiver
	buffers sync.Pool // *bytes.Buffer
}

func (r *Receiver) tracesHandler() http.Handler {
	return &httpExport{r: r, buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
}

func (h *httpExport) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "send OTLP exports with POST", http.StatusMethodNotAllowed)
		return
	}
	contentType, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if contentType == "application/protobuf" {
		contentType = typeProtobuf
	}
	if contentType != typeProtobuf && contentType != typeJSON {
		http.Error(w, fmt.Sprintf("content type %q is not OTLP; send %s or %s", contentType, typeProtobuf, typeJSON), http.StatusUnsupportedMediaType)
		return
	}
	buf := h.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer h.buffers.Put(buf)
	c := http.NewResponseController(w)
	out, err := h.take(c, req, contentType, buf)
	c.SetWriteDeadline(time.Now().Add(answerTime)) //nolint:errcheck // as in take
	if err != nil {
		writeError(w, contentType, err)
		return
	}
	writeResponse(w, contentType, out)
}

func (h *httpExport) take(c *http.ResponseController, req *http.Request, contentType string, buf *bytes.Buffer) (Outcome, error) {
	tenantID, err := h.r.tenantOf(req.Header.Get("X-Scope-OrgID"))
	if err != nil {
		return Outcome{}, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := h.read(req, buf); err != nil {
		return Outcome{}, err
	}
	// The time of the push is not the sender's: without an answer it would send again what is stored.
	c.SetWriteDeadline(time.Time{}) //nolint:errcheck // who has no deadlines needs none
	otlp := buf.Bytes()
	if contentType == typeJSON {
		if otlp, err = trace.FromJSON(nil, otlp); err != nil {
			return Outcome{}, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	return h.r.take(req.Context(), tenantID, otlp, "http")
}

// errTooLarge is answered with 413, which has no gRPC code of its own.
var errTooLarge = errors.New("export too large")

func (h *httpExport) read(req *http.Request, buf *bytes.Buffer) error {
	limit := int64(h.r.cfg.MaxMessage)
	body, err := decompressed(req.Header.Get("Content-Encoding"), req.Body)
	if err != nil {
		return err
	}
	defer body.Close()
	n, err := buf.ReadFrom(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return status.Errorf(codes.InvalidArgument, "read body: %v", err)
	case n > limit:
		return fmt.Errorf("%w: more than %d bytes; lower the batch size of the sender", errTooLarge, limit)
	}
	return nil
}

// zstdWindow is the most memory that one compressed body may ask for, the least
// that every decoder must allow (RFC 8878, 3.1.1.1.2).
const zstdWindow = 8 << 20

// decompressed reads a body in the encodings that SDKs and collectors offer.
// "deflate" is the zlib format (RFC 9110, 8.4.1.2), which collectors call zlib too.
func decompressed(encoding string, body io.ReadCloser) (io.ReadCloser, error) {
	var z io.ReadCloser
	var err error
	switch encoding {
	case "", "identity":
		return body, nil
	case "gzip":
		z, err = gzip.NewReader(body)
	case "deflate", "zlib":
		z, err = zlib.NewReader(body)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow)); err == nil {
			z = d.IOReadCloser()
		}
	default:
		return nil, status.Errorf(codes.InvalidArgument, "content encoding %q is not supported; send gzip, zstd, deflate or none", encoding)
	}
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "body is not %s: %v", encoding, err)
	}
	return z, nil
}

func writeResponse(w http.ResponseWriter, contentType string, out Outcome) {
	body := appendResponse(nil, out)
	if contentType == typeJSON {
		var err error
		if body, err = responseJSON(out); err != nil {
			writeError(w, contentType, err)
			return
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the sender is gone; it will send again
}

// httpCode is the OTLP/HTTP answer for a gRPC code: 429 and 503 are retried by
// senders, 400 never.
func httpCode(err error) int {
	if errors.Is(err, errTooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unavailable, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// writeError answers with a google.rpc.Status in the sender's own encoding.
func writeError(w http.ResponseWriter, contentType string, err error) {
	code := httpCode(err)
	st := status.Convert(err)
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(info.GetRetryDelay().AsDuration().Round(time.Second)/time.Second))))
		}
	}
	var body []byte
	var encErr error
	if contentType == typeJSON {
		body, encErr = json.Marshal(map[string]any{"code": int(st.Code()), "message": st.Message()})
	} else {
		body, encErr = proto.Marshal(&spb.Status{Code: int32(st.Code()), Message: st.Message()})
	}
	if encErr != nil {
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	w.Write(body) //nolint:errcheck // the sender is gone; it will send again
}
