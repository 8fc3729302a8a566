package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestCookie_Attributes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, tc := range []struct {
		opts auth.CookieOptions
		name string
		rest string
	}{
		{auth.CookieOptions{}, "__Host-booking_session", "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{auth.CookieOptions{SameSite: http.SameSiteDefaultMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{auth.CookieOptions{SameSite: http.SameSiteStrictMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{auth.CookieOptions{SameSite: http.SameSiteNoneMode}, "__Host-booking_session",
			"; Path=/; HttpOnly; Secure; SameSite=None"},
		{auth.CookieOptions{Insecure: true}, "booking_session", "; Path=/; HttpOnly; SameSite=Lax"},
		{auth.CookieOptions{Domain: "example.com"}, "booking_session",
			"; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
	} {
		a := newAuth(t, db, auth.Options{Cookie: tc.opts, Users: foreign{"7": {ID: "7"}}})
		w := httptest.NewRecorder()
		require.NoError(t, a.Start(t.Context(), w, httptest.NewRequest(http.MethodGet, "/", nil), "7"))
		cookie := sessionCookie(t, w)
		require.Equal(t, tc.name+"="+cookie.Value+tc.rest, w.Header().Get("Set-Cookie"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, http.StatusOK, me(a, cookie))
	}
}
