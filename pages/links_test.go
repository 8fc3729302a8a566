package pages_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/pages"
	"github.com/booking-platform/booking-platform/payments"
)

func TestLinks_SameAnswerForEveryAddress(t *testing.T) {
	t.Parallel()
	d := deps(testdb.New(t))
	var sent, admitted []string
	var refuse, fail error
	p, err := pages.New(d, pages.Options{URL: baseURL,
		AdmitLinks: func(_ context.Context, email string) error {
			admitted = append(admitted, email)
			return refuse
		},
		SendLinks: func(_ context.Context, email string) error {
			sent = append(sent, email)
			return fail
		}})
	require.NoError(t, err)
	ask := func(method, email string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/booking/links",
			strings.NewReader(url.Values{"email": {email}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w
	}
	require.Contains(t, ask("GET", "").Body.String(), `action="/booking/links"`)
	known, unknown := ask("POST", " ada@example.com "), ask("POST", "bob@example.com")
	require.Equal(t, http.StatusOK, known.Code)
	require.Contains(t, known.Body.String(), "is on its way")
	require.Equal(t, known.Header(), unknown.Header())
	require.Equal(t, strings.ReplaceAll(known.Body.String(), "ada@", "bob@"), unknown.Body.String())
	require.Equal(t, []string{"ada@example.com", "bob@example.com"}, sent)

	for _, bad := range []string{
		"", "ada", "Ada <ada@example.com>", "a@example.com, b@example.com", "a@example.com\r\nBcc: b@c.de",
	} {
		w := ask("POST", bad)
		require.Equal(t, http.StatusBadRequest, w.Code, bad)
	}
	require.Len(t, admitted, 2, "what is no address is not counted")
	refuse = &payments.RateLimitError{RetryAfter: 90 * time.Second}
	w := ask("POST", "ada@example.com")
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, "90", w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "Please try again in 2 minutes.")
	require.Len(t, sent, 2)
	refuse, fail = nil, errors.New("planted")
	require.Equal(t, http.StatusServiceUnavailable, ask("POST", "ada@example.com").Code)
}

func TestLinks_WithoutSender(t *testing.T) {
	t.Parallel()
	p, err := pages.New(deps(testdb.New(t)), pages.Options{URL: baseURL})
	require.NoError(t, err)
	for _, path := range []string{"/booking/links", "/booking/"} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		require.NotContains(t, w.Body.String(), "Find your bookings")
	}
}
