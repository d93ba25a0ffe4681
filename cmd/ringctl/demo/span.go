package demo

import (
	"time"

	"github.com/ringctl/ringctl/engine/trace"
)

// spanOf describes one span of the shop.
type spanOf struct {
	trace   trace.ID
	id      trace.SpanID
	parent  []byte // nil for a root
	service string
	start   time.Time
	took    time.Duration
	failed  bool
	code    int64
}

// operations names what each service does; others do "handle".
var operations = map[string]string{
	"gateway": "HTTP GET /", "frontend": "render page", "checkout": "place order", "catalogue": "list products",
	"search": "find products", "cart": "get cart", "payment": "charge card", "shipping": "book parcel",
	"catalogue-db": "SELECT products", "cart-cache": "GET cart", "bank": "POST /authorise", "quote": "quote price", "mail": "send receipt",
}

// addSpan puts the span into the builder under its service's resource.
func addSpan(b *trace.Builder, s spanOf) {
	resource := trace.AppendResource(nil, &trace.Resource{Attrs: []trace.Attr{
		text("service.name", s.service), text("service.namespace", "shop"), text("deployment.environment", "demo"), text("k8s.pod.name", s.service+"-0"),
	}})
	scope := trace.AppendScope(nil, &trace.Scope{Name: []byte("ringctl.demo")})
	b.SetResource(&trace.Group{Raw: resource})
	b.SetScope(&trace.Group{Raw: scope})
	span := trace.Span{TraceID: s.trace, SpanID: s.id, Name: []byte(operations[s.service]), Kind: trace.SpanKindServer,
		Start: uint64(s.start.UnixNano()), End: uint64(s.start.Add(s.took).UnixNano()),
		Attrs: []trace.Attr{number("http.response.status_code", s.code), text("http.request.method", "GET"), text("user.tier", tier(s.id))}}
	copy(span.ParentID[:], s.parent)
	if s.failed {
		span.StatusCode, span.StatusMessage = trace.StatusError, []byte("upstream timed out")
	}
	b.AddSpan(&span)
}

func tier(id trace.SpanID) string {
	return [...]string{"free", "plus", "pro"}[int(id[7])%3]
}

func text(key, value string) trace.Attr {
	return trace.Attr{Key: []byte(key), Value: trace.StringValue([]byte(value))}
}

func number(key string, value int64) trace.Attr {
	return trace.Attr{Key: []byte(key), Value: trace.IntValue(value)}
}
