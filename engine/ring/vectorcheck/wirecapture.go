package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ringctl/ringctl/engine/gossip"
	"github.com/ringctl/ringctl/engine/gossip/wire"
)

const wireLimit = 32 << 20

func checkWireCapture(c json.RawMessage) error {
	var v struct {
		Kind    string
		Bytes   []byte `json:"bytes_b64"`
		Decoded struct {
			From    *string
			Label   string
			MD5     *bool `json:"md5_ok"`
			Byte    *int  `json:"transport_byte"`
			Message map[string]any
		}
	}
	dec := json.NewDecoder(bytes.NewReader(c))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	b := v.Bytes
	if v.Decoded.Byte != nil {
		if len(b) == 0 || int(b[0]) != *v.Decoded.Byte {
			return fmt.Errorf("first byte is not %d", *v.Decoded.Byte)
		}
		b = b[1:]
	}
	inspect := wire.InspectStream
	if v.Kind == "packet" {
		p, err := wire.ParseFrame(b)
		if (err == nil) != (v.Decoded.MD5 == nil || *v.Decoded.MD5) {
			return fmt.Errorf("frame: %w", err)
		}
		if err != nil {
			return nil
		}
		if v.Decoded.From != nil && p.From != *v.Decoded.From {
			return fmt.Errorf("from %q, want %q", p.From, *v.Decoded.From)
		}
		inspect, b = wire.InspectPacket, p.Payload
	}
	label, w, err := inspect(b, wireLimit)
	if err != nil {
		return err
	}
	if label != v.Decoded.Label {
		return fmt.Errorf("label %q, want %q", label, v.Decoded.Label)
	}
	return sameMessage(v.Decoded.Message, w)
}

// sameMessage compares a message with its JSON form: everything that the vector says must be so.
func sameMessage(want map[string]any, got wire.Message) error {
	for name, w := range want {
		if err := sameProperty(name, w, got); err != nil {
			return fmt.Errorf("%s: %s: %w", got.Name, name, err)
		}
	}
	return nil
}

func sameProperty(name string, want any, got wire.Message) error {
	switch name {
	case "type":
		return sameText(want, got.Name)
	case "type_number":
		return sameText(want, got.Type)
	case "crc32":
		return sameText(want, got.CRC)
	case "crc_ok":
		return sameText(want, got.CRCOK)
	case "algo":
		return sameText(want, got.Fields["Algo"])
	case "inner":
		if got.Inner == nil {
			return fmt.Errorf("nothing inside")
		}
		return sameMessage(want.(map[string]any), *got.Inner)
	case "parts":
		return sameParts(want.([]any), got.Parts)
	case "header":
		for field, w := range want.(map[string]any) {
			if err := sameField(field, w, got.Fields); err != nil {
				return err
			}
		}
		return nil
	case "nodes":
		return sameNodes(want.([]any), got.Nodes)
	case "user_state_b64":
		return sameText(want, base64.StdEncoding.EncodeToString(got.Raw))
	case "user_state":
		return sameState(want, got.Raw)
	case "kv_pair":
		return samePair(want, got.Raw)
	}
	return sameField(name, want, got.Fields)
}

func sameText(want, got any) error {
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}

// sameField compares one msgpack field; bytes have names that end with _b64.
func sameField(name string, want any, fields map[string]any) error {
	field, isBytes := strings.CutSuffix(name, "_b64")
	got, ok := fields[field]
	if !ok && want != nil {
		return fmt.Errorf("field %s is missing", field)
	}
	b, _ := got.([]byte)
	switch {
	case isBytes:
		return sameText(want, base64.StdEncoding.EncodeToString(b))
	case want == nil && len(b) == 0:
		return nil
	case got != nil && b != nil:
		return sameText(want, string(b))
	}
	return sameText(want, got)
}

func sameParts(want []any, got []wire.Message) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d, want %d", len(got), len(want))
	}
	for n, w := range want {
		if err := sameMessage(w.(map[string]any), got[n]); err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
	}
	return nil
}

func sameNodes(want []any, got []gossip.Node) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d, want %d", len(got), len(want))
	}
	slices.SortFunc(got, func(a, b gossip.Node) int { return strings.Compare(a.Name, b.Name) })
	for n, w := range want {
		if err := sameNode(w.(map[string]any), got[n]); err != nil {
			return fmt.Errorf("node %s: %w", got[n].Name, err)
		}
	}
	return nil
}

func sameNode(want map[string]any, got gossip.Node) error {
	host, port, err := net.SplitHostPort(got.Addr)
	if err != nil {
		return err
	}
	meta, err := base64.StdEncoding.DecodeString(fmt.Sprint(want["Meta_b64"]))
	if err != nil {
		return err
	}
	if m := wire.ParseMeta(meta); m != got.Meta {
		return fmt.Errorf("meta %v, want %v", got.Meta, m)
	}
	have := map[string]string{
		"Name": got.Name, "Addr": host, "Port": port, "Incarnation": strconv.Itoa(int(got.Incarnation)),
		"State": strconv.Itoa(int(got.State)),
		"Vsn":   fmt.Sprint([]uint8{got.PMin, got.PMax, got.PCur, got.DMin, got.DMax, got.DCur}),
	}
	for name, h := range have {
		if w := fmt.Sprint(want[name]); w != h {
			return fmt.Errorf("%s is %s, want %s", name, h, w)
		}
	}
	return nil
}

func sameState(want any, got []byte) error {
	pairs, err := wire.DecodeState(got)
	if err != nil {
		return err
	}
	var w []pairJSON
	if err := reread(want, &w); err != nil {
		return err
	}
	return samePairs(w, pairs)
}

func samePair(want any, got []byte) error {
	var p gossip.Pair
	if err := p.UnmarshalBinary(got); err != nil {
		return err
	}
	var w pairJSON
	if err := reread(want, &w); err != nil {
		return err
	}
	return w.same(p)
}

// reread decodes generic JSON into a typed form.
func reread(v, into any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
