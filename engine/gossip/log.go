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
	line = bytes.TrimPrefix(line, []byte("memberlist: "))
	args := []any{"component", "memberlist"}
	if bytes.HasPrefix(line, []byte("Got ping for unexpected node")) {
		level = slog.LevelInfo
		args = append(args, "means", "somebody looks here for a member that was at this address before, as after a quick restart; this ends by itself within a minute, unless two members have the same address")
	}
	w.log.Log(context.Background(), level, string(line), args...)
	return len(p), nil
}
