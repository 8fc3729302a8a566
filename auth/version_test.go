package auth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// pausing lets something happen between the moment at which a login has been found right
// and the beginning of its session.
type pausing struct {
	auth.Users
	meanwhile func()
}

func (p pausing) Authenticate(ctx context.Context, email, password string) (auth.User, error) {
	u, err := p.Users.Authenticate(ctx, email, password)
	if err == nil {
		p.meanwhile()
	}
	return u, err
}

// A thief with the old password logs in as it is being changed.
func TestNoSessionOutlivesWhatItsLoginSaw(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		change func(email string)
		want   int
	}{
		"nothing": {func(string) {}, http.StatusOK},
		"the role": {func(email string) { _, err = users.SetRole(t.Context(), email, auth.RoleReadOnly) },
			http.StatusOK},
		"the password": {func(email string) {
			_,
				err = users.SetPassword(t.Context(), email, "quite another password")
		}, http.StatusUnauthorized},
		"the same password": {func(email string) { _, err = users.SetPassword(t.Context(), email, password) },
			http.StatusUnauthorized},
		"disabled": {func(email string) { _, err = users.Disable(t.Context(), email) }, http.StatusUnauthorized},
		"off and on again": {func(email string) {
			_, err = users.Disable(t.Context(), email)
			_, err = users.Enable(t.Context(), email)
		}, http.StatusUnauthorized},
		"enabled already":    {func(email string) { _, err = users.Enable(t.Context(), email) }, http.StatusOK},
		"all sessions ended": {func(string) { exec(t, db, `DELETE FROM booking_platform.sessions`) }, http.StatusOK},
	} {
		u := addUser(t, db, strings.ReplaceAll(name, " ", "-")+"@example.com", auth.RoleOps)
		a := newAuth(t, db, auth.Options{Users: pausing{users, func() { tc.change(u.Email) }}})
		w := login(a, u.Email, password, nil)
		require.NoError(t, err, name)
		require.Equal(t, http.StatusOK, w.Code, name)
		require.Equal(t, tc.want, me(a, sessionCookie(t, w)), name)
	}
}

// versioned are an embedder's users that have a version of their own.
type versioned struct{ now string }

func (v *versioned) Authenticate(context.Context, string, string) (auth.User, error) {
	return auth.User{ID: "7", Version: v.now}, nil
}

func (v *versioned) User(context.Context, string) (auth.User, error) {
	return auth.User{ID: "7", Version: v.now}, nil
}

func TestVersionsOfForeignUsers(t *testing.T) {
	t.Parallel()
	users := &versioned{}
	a := newAuth(t, testdb.New(t), auth.Options{Users: users})
	none := sessionCookie(t, login(a, "u@example.com", "x", nil))
	users.now = "2026-12-01"
	w := login(a, "u@example.com", "x", nil)
	require.NotContains(t, w.Body.String(), users.now)
	one := sessionCookie(t, w)
	started := start(t, a, "7")
	guarded := a.RequireAPI(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		u, _ := auth.UserFrom(r.Context())
		require.Equal(t, auth.User{ID: "7"}, u, "it is handed on to nobody")
	}))
	for _, cookie := range []*http.Cookie{none, one, started} {
		require.Equal(t, http.StatusOK, send(guarded, http.MethodGet, "/", "", cookie).Code)
	}
	for _, version := range []string{"2026-12-02", ""} {
		users.now = version
		require.Equal(t, http.StatusUnauthorized, me(a, one))
		require.Equal(t, http.StatusOK, me(a, none), "begun without one")
		require.Equal(t, http.StatusOK, me(a, started), "begun by no login")
	}
}
