package gossip

import (
	"bytes"
	"context"
	"io"
	"log/slog"
)

// logWriter turns memberlist's log lines ("[WARN] memberlist: text") into slog records.
type logWriter struct{ log *slog.Logger }

var _ io.Writer = logWriter{}

// Write implements io.Writer. memberlist writes one line per call.
func (w logWriter) Write(p []byte) (int, error) {
	line := bytes.TrimSpace(p)
	level := slog.LevelDebug
	if tag, rest, ok := bytes.Cut(line, []byte("] ")); ok && len(tag) > 0 && tag[0] == '[' {
		line = rest
		switch string(tag[1:]) {
		case "ERR", "ERROR", "WARN":
			// What memberlist calls an error is a peer that went away or a packet that was refused: nothing that one
			// node can do something about.
			level = slog.LevelWarn
		case "INFO":
			level = slog.LevelInfo
		}
	}
	w.log.Log(context.Background(), level, string(bytes.TrimPrefix(line, []byte("memberlist: "))), "component", "memberlist")
	return len(p), nil
}
