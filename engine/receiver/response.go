package receiver

import (
	"crypto/tls"
	"encoding/json"
	"strconv"

	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protowire"
)

func tlsCredentials(c *tls.Config) credentials.TransportCredentials { return credentials.NewTLS(c) }

// appendResponse writes an ExportTraceServiceResponse:
//
//	1 partial_success { 1 int64 rejected_spans, 2 string error_message }
//
// It is empty, as OTLP asks, when every span was kept.
func appendResponse(dst []byte, out Outcome) []byte {
	if out.Rejected == 0 && out.Message == "" {
		return dst
	}
	var partial []byte
	if out.Rejected > 0 {
		partial = protowire.AppendTag(partial, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, uint64(out.Rejected))
	}
	if out.Message != "" {
		partial = protowire.AppendTag(partial, 2, protowire.BytesType)
		partial = protowire.AppendString(partial, out.Message)
	}
	dst = protowire.AppendTag(dst, 1, protowire.BytesType)
	return protowire.AppendBytes(dst, partial)
}

type jsonResponse struct {
	PartialSuccess *jsonPartial `json:"partialSuccess,omitempty"`
}

type jsonPartial struct {
	RejectedSpans string `json:"rejectedSpans,omitempty"` // int64 is a string in protobuf JSON
	ErrorMessage  string `json:"errorMessage,omitempty"`
}

func responseJSON(out Outcome) ([]byte, error) {
	var r jsonResponse
	if out.Rejected > 0 || out.Message != "" {
		r.PartialSuccess = &jsonPartial{strconv.Itoa(out.Rejected), out.Message}
	}
	return json.Marshal(r)
}
