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
	// The links of a mail open in a window of their own: the host's pages are in no frame.
	require.NoError(t, box.Send(t.Context(), notify.Mail{HTML: "<!doctype html>\n<html><head>\n</head></html>"}))
	require.Equal(t, "<!doctype html>\n<html><head><base target=\"_blank\">\n</head></html>",
		get(t, box, "/mailbox/2/html").Body.String())
	policy := html.Header().Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "sandbox")
	require.NotContains(t, policy, "allow-scripts")
	file := get(t, box, "/mailbox/1/files/0")
	require.Equal(t, "BEGIN", file.Body.String())
	require.Equal(t, "attachment; filename*=UTF-8''booking.ics", file.Header().Get("Content-Disposition"))
	for _, path := range []string{"/mailbox/3", "/mailbox/1/files/1", "/mailbox/1/files/x", "/mailbox/1/x",
		"/mailbox/x"} {
		require.Equal(t, http.StatusNotFound, get(t, box, path).Code, path)
	}
}

// The host's pages can be below a path.
func TestBox_StylesBelowAPath(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"/mailbox": "/static/style.css", "/shop/mailbox": "/shop/static/style.css",
	} {
		box := mailbox.New(prefix, slog.New(slog.DiscardHandler))
		require.NoError(t, box.Send(t.Context(), notify.Mail{Subject: "Hello"}))
		for _, page := range []string{prefix, prefix + "/1"} {
			require.Contains(t, get(t, box, page).Body.String(), `<link rel="stylesheet" href="`+want+`">`)
		}
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
