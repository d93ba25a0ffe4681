package trace

// The messages of the OpenTelemetry trace protocol, as data. The checker and
// both JSON translations read this table; DecodeSpan and Batch spell the few
// hot messages out by hand.
// Source: opentelemetry-proto 1.11, trace.proto, common.proto, resource.proto.

type msgID uint8

const (
	msgNone msgID = iota
	msgTracesData
	msgResourceSpans
	msgScopeSpans
	msgResource
	msgScope
	msgSpan
	msgEvent
	msgLink
	msgStatus
	msgKeyValue
	msgAnyValue
	msgArrayValue
	msgKeyValueList
	msgEntityRef
)

type fieldType uint8

const (
	typeMessage fieldType = iota
	typeString
	typeBytes
	typeTraceID
	typeSpanID
	typeBool
	typeInt64
	typeInt32
	typeUint32
	typeFixed64
	typeFixed32
	typeDouble
	typeSpanKind
	typeStatusCode
)

// wire is the wire type that carries the field type.
func (t fieldType) wire() int {
	switch t {
	case typeMessage, typeString, typeBytes, typeTraceID, typeSpanID:
		return wireBytes
	case typeFixed64, typeDouble:
		return wireFixed64
	case typeFixed32:
		return wireFixed32
	}
	return wireVarint
}

type fieldInfo struct {
	num      int
	name     string // as in the .proto file
	json     string // lowerCamelCase
	typ      fieldType
	sub      msgID
	repeated bool
	oneof    bool // encoded also when it has the zero value
}

func one(num int, name, json string, t fieldType) fieldInfo {
	return fieldInfo{num: num, name: name, json: json, typ: t}
}

func member(num int, name, json string, t fieldType, sub msgID) fieldInfo {
	return fieldInfo{num: num, name: name, json: json, typ: t, sub: sub, oneof: true}
}

func msg(num int, name, json string, sub msgID) fieldInfo {
	return fieldInfo{num: num, name: name, json: json, sub: sub}
}

func many(num int, name, json string, sub msgID) fieldInfo {
	return fieldInfo{num: num, name: name, json: json, sub: sub, repeated: true}
}

func texts(num int, name, json string) fieldInfo {
	return fieldInfo{num: num, name: name, json: json, typ: typeString, repeated: true}
}

// schema lists the fields of each message in ascending order of their number.
var schema = [...][]fieldInfo{
	msgTracesData: {many(1, "resource_spans", "resourceSpans", msgResourceSpans)},
	msgResourceSpans: {
		msg(1, "resource", "resource", msgResource),
		many(2, "scope_spans", "scopeSpans", msgScopeSpans),
		one(3, "schema_url", "schemaUrl", typeString),
	},
	msgScopeSpans: {
		msg(1, "scope", "scope", msgScope),
		many(2, "spans", "spans", msgSpan),
		one(3, "schema_url", "schemaUrl", typeString),
	},
	msgResource: {
		many(1, "attributes", "attributes", msgKeyValue),
		one(2, "dropped_attributes_count", "droppedAttributesCount", typeUint32),
		many(3, "entity_refs", "entityRefs", msgEntityRef),
	},
	msgScope: {
		one(1, "name", "name", typeString),
		one(2, "version", "version", typeString),
		many(3, "attributes", "attributes", msgKeyValue),
		one(4, "dropped_attributes_count", "droppedAttributesCount", typeUint32),
	},
	msgSpan: {
		one(1, "trace_id", "traceId", typeTraceID),
		one(2, "span_id", "spanId", typeSpanID),
		one(3, "trace_state", "traceState", typeString),
		one(4, "parent_span_id", "parentSpanId", typeSpanID),
		one(5, "name", "name", typeString),
		one(6, "kind", "kind", typeSpanKind),
		one(7, "start_time_unix_nano", "startTimeUnixNano", typeFixed64),
		one(8, "end_time_unix_nano", "endTimeUnixNano", typeFixed64),
		many(9, "attributes", "attributes", msgKeyValue),
		one(10, "dropped_attributes_count", "droppedAttributesCount", typeUint32),
		many(11, "events", "events", msgEvent),
		one(12, "dropped_events_count", "droppedEventsCount", typeUint32),
		many(13, "links", "links", msgLink),
		one(14, "dropped_links_count", "droppedLinksCount", typeUint32),
		msg(15, "status", "status", msgStatus),
		one(16, "flags", "flags", typeFixed32),
	},
	msgEvent: {
		one(1, "time_unix_nano", "timeUnixNano", typeFixed64),
		one(2, "name", "name", typeString),
		many(3, "attributes", "attributes", msgKeyValue),
		one(4, "dropped_attributes_count", "droppedAttributesCount", typeUint32),
	},
	msgLink: {
		one(1, "trace_id", "traceId", typeTraceID),
		one(2, "span_id", "spanId", typeSpanID),
		one(3, "trace_state", "traceState", typeString),
		many(4, "attributes", "attributes", msgKeyValue),
		one(5, "dropped_attributes_count", "droppedAttributesCount", typeUint32),
		one(6, "flags", "flags", typeFixed32),
	},
	msgStatus: {
		one(2, "message", "message", typeString),
		one(3, "code", "code", typeStatusCode),
	},
	msgKeyValue: {
		one(1, "key", "key", typeString),
		msg(2, "value", "value", msgAnyValue),
		one(3, "key_strindex", "keyStrindex", typeInt32),
	},
	msgAnyValue: {
		member(1, "string_value", "stringValue", typeString, msgNone),
		member(2, "bool_value", "boolValue", typeBool, msgNone),
		member(3, "int_value", "intValue", typeInt64, msgNone),
		member(4, "double_value", "doubleValue", typeDouble, msgNone),
		member(5, "array_value", "arrayValue", typeMessage, msgArrayValue),
		member(6, "kvlist_value", "kvlistValue", typeMessage, msgKeyValueList),
		member(7, "bytes_value", "bytesValue", typeBytes, msgNone),
		member(8, "string_value_strindex", "stringValueStrindex", typeInt32, msgNone),
	},
	msgArrayValue:   {many(1, "values", "values", msgAnyValue)},
	msgKeyValueList: {many(1, "values", "values", msgKeyValue)},
	msgEntityRef: {
		one(1, "schema_url", "schemaUrl", typeString),
		one(2, "type", "type", typeString),
		texts(3, "id_keys", "idKeys"),
		texts(4, "description_keys", "descriptionKeys"),
	},
}

// lookup finds the field with that number in m, nil when it is unknown.
func lookup(m msgID, num int) *fieldInfo {
	fields := schema[m]
	if num >= 1 && num <= len(fields) && fields[num-1].num == num {
		return &fields[num-1]
	}
	for i := range fields {
		if fields[i].num == num {
			return &fields[i]
		}
	}
	return nil
}

// check walks message m to its full depth without keeping anything. depth is
// the number of AnyValues around it. utf8ok is false when a string is not UTF-8.
func check(b []byte, m msgID, depth int) (utf8ok bool, bad *MalformedError) {
	if m == msgAnyValue {
		if depth++; depth > MaxDepth {
			return false, &MalformedError{Problem: problemDepth}
		}
	}
	utf8ok = true
	attrs := 0
	var f field
	for i := 0; i < len(b); {
		next, bad := f.next(b, i)
		if bad != nil {
			if info := lookup(m, f.num()); info != nil {
				bad = bad.within(info.name, 0)
			}
			return false, bad
		}
		i = next
		info := lookup(m, f.num())
		if info == nil || f.b == nil || info.typ.wire() != wireBytes {
			continue
		}
		if info.typ == typeString {
			utf8ok = utf8ok && valid(f.b)
			continue
		}
		if info.typ != typeMessage {
			continue
		}
		if info.sub == msgKeyValue && m != msgKeyValueList {
			if attrs++; attrs > MaxAttributes {
				return false, &MalformedError{Offset: f.start, Path: info.name, Problem: problemCount}
			}
		}
		if info.sub == msgKeyValue && depth < MaxDepth && plainAttr(f.b) && ascii(f.b) {
			continue // the usual form; with all bytes ASCII its strings are, too
		}
		ok, bad := check(f.b, info.sub, depth)
		if bad != nil {
			return false, bad.within(info.name, f.from)
		}
		utf8ok = utf8ok && ok
	}
	return utf8ok, nil
}
