package middleware

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
)

// LogWriter writes JSON lines to w without the control characters that JSON allows in a
// string: DEL, and those from U+0080 to U+009F, among which is one that terminals take
// for the beginning of a command. It escapes them; the JSON says the same.
func LogWriter(w io.Writer) io.Writer { return logWriter{w} }

type logWriter struct{ io.Writer }

func (l logWriter) Write(line []byte) (int, error) {
	if bytes.IndexByte(line, 0xC2) < 0 && bytes.IndexByte(line, 0x7F) < 0 {
		return l.Writer.Write(line)
	}
	escaped := make([]byte, 0, len(line)+16)
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == 0x7F:
			escaped = fmt.Appendf(escaped, `\u%04x`, line[i])
		case line[i] == 0xC2 && i+1 < len(line) && line[i+1] < 0xA0:
			i++
			escaped = fmt.Appendf(escaped, `\u%04x`, line[i])
		default:
			escaped = append(escaped, line[i])
		}
	}
	if _, err := l.Writer.Write(escaped); err != nil {
		return 0, err
	}
	return len(line), nil
}

// LogHandler adds request_id to every line that is logged with the context of a request,
// in whatever package.
func LogHandler(h slog.Handler) slog.Handler { return logHandler{h} }

type logHandler struct{ slog.Handler }

func (h logHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs)}
}

func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }
