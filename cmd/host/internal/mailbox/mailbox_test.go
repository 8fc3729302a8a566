package mailbox_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/mailbox"
	"github.com/booking-platform/booking-platform/notify"
)

func get(t *testing.T, box *mailbox.Box, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	box.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}

func TestBox_ShowsMailsAsSent(t *testing.T) {
	t.Parallel()
	box := mailbox.New("/mailbox", slog.New(slog.DiscardHandler))
	require.Contains(t, get(t, box, "/mailbox").Body.String(), "no mails yet")
	require.NoError(t, box.Send(t.Context(), notify.Mail{MessageID: "<1@localhost>", To: "ann@example.com",
		Subject: "Hello <b>", Text: "a text <script>", HTML: "<p style=\"color:red\">html</p>", CalendarMethod: "REQUEST",
		Attachments: []notify.Attachment{{Name: "booking.ics", ContentType: "application/ics", Content: []byte("BEGIN")}}}))

	list := get(t, box, "/mailbox").Body.String()
	require.Contains(t, list, `<a href="/mailbox/1">Hello &lt;b&gt;</a>`)
	page := get(t, box, "/mailbox/1").Body.String()
	require.Contains(t, page, "a text &lt;script&gt;")
	require.Contains(t, page, `src="/mailbox/1/html"`)
	require.Contains(t, page, `sandbox="`)
	html := get(t, box, "/mailbox/1/html")
	require.Equal(t, "<p style=\"color:red\">html</p>", html.Body.String())
	policy := html.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "sandbox")
	require.NotContains(t, policy, "allow-scripts")
	file := get(t, box, "/mailbox/1/files/0")
	require.Equal(t, "BEGIN", file.Body.String())
	require.Equal(t, "attachment; filename*=UTF-8''booking.ics", file.Header().Get("Content-Disposition"))
	for _, path := range []string{"/mailbox/2", "/mailbox/1/files/1", "/mailbox/1/files/x", "/mailbox/1/x",
		"/mailbox/x"} {
		require.Equal(t, http.StatusNotFound, get(t, box, path).Code, path)
	}
}

func TestBox_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	box := mailbox.New("/mailbox", slog.New(slog.DiscardHandler))
	for n := range 205 {
		require.NoError(t, box.Send(t.Context(), notify.Mail{Subject: fmt.Sprint(n)}))
	}
	mails := box.Mails()
	require.Len(t, mails, 200)
	require.Equal(t, "204", mails[0].Subject)
	require.Equal(t, http.StatusNotFound, get(t, box, "/mailbox/1").Code)
	require.Equal(t, http.StatusOK, get(t, box, "/mailbox/205").Code)
}
