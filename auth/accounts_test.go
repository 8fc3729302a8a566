package auth_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestAdd_NormalizesAndValidates(t *testing.T) {
	t.Parallel()
	users, count := newUsers(t, auth.UsersOptions{})
	added, err := users.Add(t.Context(), " Ada@Example.com ", password, auth.RoleOps)
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", added.Email)
	require.Equal(t, auth.RoleOps, added.Role)
	require.True(t, added.Active)
	got, err := users.Authenticate(t.Context(), "ADA@example.com", password)
	require.NoError(t, err)
	got.Version = ""
	require.Equal(t, added.User, got)

	_, err = users.Add(t.Context(), "ada@EXAMPLE.com", "quite another password", auth.RoleAdmin)
	require.ErrorIs(t, err, auth.ErrExists)
	for field, add := range map[string]func() (auth.Account, error){
		"email": func() (auth.Account, error) {
			return users.Add(t.Context(), "not-an-address", password, auth.RoleOps)
		},
		"password": func() (auth.Account, error) {
			return users.Add(t.Context(), "b@example.com", "short",
				auth.RoleOps)
		},
		"role": func() (auth.Account, error) { return users.Add(t.Context(), "b@example.com", password, "O\nPS") },
	} {
		_, err := add()
		var wrong *auth.ValidationError
		require.ErrorAs(t, err, &wrong)
		require.Contains(t, wrong.Fields, field)
		require.Len(t, wrong.Fields, 1)
	}
	require.Equal(t, 1, count(`SELECT count(*) FROM booking_platform.users`))
}

func TestAdd_Concurrent(t *testing.T) {
	t.Parallel()
	users, count := newUsers(t, auth.UsersOptions{})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for n := range errs {
		wg.Go(func() { _, errs[n] = users.Add(context.Background(), "ada@example.com", password, auth.RoleOps) })
	}
	wg.Wait()
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
			continue
		}
		require.ErrorIs(t, err, auth.ErrExists)
	}
	require.Equal(t, 1, added)
	require.Equal(t, 1, count(`SELECT count(*) FROM booking_platform.users`))
}

func TestList_Pages(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	for _, name := range []string{"c", "a", "b"} {
		addUser(t, db, name+"@example.com", auth.RoleOps)
	}
	_, err = users.Disable(t.Context(), "b@example.com")
	require.NoError(t, err)
	var names []string
	for after := ""; ; {
		page, err := users.List(t.Context(), after, 2)
		require.NoError(t, err)
		for _, a := range page {
			require.Equal(t, a.Email != "b@example.com", a.Active)
			names = append(names, a.Email)
			after = a.Email
		}
		if len(page) < 2 {
			break
		}
	}
	require.Equal(t, []string{"a@example.com", "b@example.com", "c@example.com"}, names)
}

// Disabling and a new password end the sessions; enabling does not bring them back.
func TestUserTable_ChangesTakeEffectAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	a := newAuth(t, db, auth.Options{Users: users})
	ada, other := addUser(t, db, "ada@example.com", auth.RoleOps), addUser(t, db, "other@example.com", auth.RoleOps)
	// session starts a session and returns a function that checks it.
	session := func(id string) func() (auth.User, error) {
		w := httptest.NewRecorder()
		require.NoError(t, a.Start(t.Context(), w, httptest.NewRequest("GET", "/", nil), id))
		r := httptest.NewRequest("GET", "/", nil)
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		return func() (auth.User, error) { return a.Current(r) }
	}
	hers, others := session(ada.ID), session(other.ID)

	changed, err := users.SetRole(t.Context(), "ADA@example.com", auth.RoleReadOnly)
	require.NoError(t, err)
	require.Equal(t, auth.RoleReadOnly, changed.Role)
	now, err := hers()
	require.NoError(t, err)
	require.Equal(t, auth.RoleReadOnly, now.Role)

	changed, err = users.Disable(t.Context(), "ada@example.com")
	require.NoError(t, err)
	require.False(t, changed.Active)
	_, err = hers()
	require.ErrorIs(t, err, auth.ErrNoSession)
	_, err = users.Authenticate(t.Context(), "ada@example.com", password)
	require.ErrorIs(t, err, auth.ErrCredentials)
	changed, err = users.Enable(t.Context(), "ada@example.com")
	require.NoError(t, err)
	require.True(t, changed.Active)
	_, err = hers()
	require.ErrorIs(t, err, auth.ErrNoSession, "it has ended")
	_, err = users.Authenticate(t.Context(), "ada@example.com", password)
	require.NoError(t, err)

	hers = session(ada.ID)
	_, err = users.SetPassword(t.Context(), "ada@example.com", "quite another password")
	require.NoError(t, err)
	_, err = hers()
	require.ErrorIs(t, err, auth.ErrNoSession)
	_, err = users.Authenticate(t.Context(), "ada@example.com", password)
	require.ErrorIs(t, err, auth.ErrCredentials)
	_, err = users.Authenticate(t.Context(), "ada@example.com", "quite another password")
	require.NoError(t, err)
	_, err = users.SetPassword(t.Context(), "ada@example.com", "short")
	require.ErrorAs(t, err, new(*auth.ValidationError))

	_, err = others()
	require.NoError(t, err, "other users do not change")
	for _, change := range []func(context.Context, string) (auth.Account, error){users.Enable, users.Disable} {
		_, err = change(t.Context(), "unknown@example.com")
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	_, err = users.SetRole(t.Context(), "unknown@example.com", auth.RoleOps)
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = users.SetPassword(t.Context(), "unknown@example.com", password)
	require.ErrorIs(t, err, auth.ErrNotFound)
}
