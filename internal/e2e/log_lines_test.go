package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type line map[string]any

type logLines []line

// parse reads a log: each line is JSON with time, level and message, except the one that
// prints the host's address.
func parse(t *testing.T, log string) (all logLines) {
	t.Helper()
	for text := range strings.Lines(log) {
		if strings.HasPrefix(text, "booking-platform is at ") {
			continue
		}
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		at, err := time.Parse(time.RFC3339, l.text("time"))
		require.NoError(t, err, text)
		require.WithinDuration(t, time.Now(), at, time.Hour)
		require.Contains(t, []string{"INFO", "WARN", "ERROR"}, l.text("level"), text)
		require.NotEmpty(t, l.text("msg"), text)
		all = append(all, l)
	}
	require.NotEmpty(t, all)
	return all
}

func (l line) text(name string) string {
	if l[name] == nil {
		return ""
	}
	return fmt.Sprint(l[name])
}

func (all logLines) where(name, value string) (some logLines) {
	for _, l := range all {
		if l.text(name) == value {
			some = append(some, l)
		}
	}
	return some
}

// of is the messages of a request's lines.
func (all logLines) of(id string) (messages []string) {
	for _, l := range all.where("request_id", id) {
		messages = append(messages, l.text("msg"))
	}
	return messages
}
