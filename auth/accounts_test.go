package auth_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestAddAUser(t *testing.T) {
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
		"email": func() (auth.Account, error) { return users.Add(t.Context(), "nobody", password, auth.RoleOps) },
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

// Several administrators add the same address at once: it is one user.
func TestAddAUserAtOnce(t *testing.T) {
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

func TestListUsers(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
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

// What is changed of a user takes effect with the next request; disabling and another
// password end the sessions, and enabling brings none of them back.
func TestChangesOfAUser(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	a := newAuth(t, db, auth.Options{Users: users})
	ada, other := addUser(t, db, "ada@example.com", auth.RoleOps), addUser(t, db, "other@example.com", auth.RoleOps)
	// session begins one and returns how it is asked for.
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
	require.NoError(t, err, "nobody else is touched")
	for _, change := range []func(context.Context, string) (auth.Account, error){users.Enable, users.Disable} {
		_, err = change(t.Context(), "nobody@example.com")
		require.ErrorIs(t, err, auth.ErrNotFound)
	}
	_, err = users.SetRole(t.Context(), "nobody@example.com", auth.RoleOps)
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = users.SetPassword(t.Context(), "nobody@example.com", password)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// A hash of another system, or of other parameters, lets its owner in, and is one of
// today's from then on; a wrong password changes nothing.
func TestHashesAreRenewed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	blowfish, err := bcrypt.GenerateFromPassword([]byte(password), 5)
	require.NoError(t, err)
	weak, err := argon2id.CreateHash(password,
		&argon2id.Params{Memory: 8 * 1024, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	// Node's library writes 2b, PHP's 2y; it is the same function.
	for name, hash := range map[string]string{
		"bcrypt": string(blowfish), "bcrypt of node": "$2b" + strings.TrimPrefix(string(blowfish), "$2a"),
		"bcrypt of php": "$2y" + strings.TrimPrefix(string(blowfish), "$2a"), "argon2id": weak,
	} {
		ada := addUser(t, db, strings.ReplaceAll(name, " ", "-")+"@example.com", auth.RoleOps)
		exec(t, db, `UPDATE booking_platform.users SET password_hash = $2::text WHERE id = $1::uuid`, ada.ID, hash)
		stored := func() (hash string) {
			require.NoError(t, db.QueryRowContext(t.Context(),
				`SELECT password_hash FROM booking_platform.users WHERE id = $1::uuid`, ada.ID).Scan(&hash))
			return hash
		}
		_, err = users.Authenticate(t.Context(), ada.Email, "wrong horse battery")
		require.ErrorIs(t, err, auth.ErrCredentials, name)
		require.Equal(t, hash, stored(), name)
		_, err = users.Authenticate(t.Context(), ada.Email, password)
		require.NoError(t, err, name)
		renewed := stored()
		require.True(t, strings.HasPrefix(renewed, "$argon2id$v=19$m=19456,t=2,p=1$"), renewed)
		_, err = users.Authenticate(t.Context(), ada.Email, password)
		require.NoError(t, err, name)
		require.Equal(t, renewed, stored(), "once")
	}
}

// A stored hash that would take minutes is not computed.
func TestCostlyHashesAreRefused(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	ada := addUser(t, db, "ada@example.com", auth.RoleOps)
	exec(t, db, `UPDATE booking_platform.users SET password_hash = $2::text WHERE id = $1::uuid`, ada.ID,
		"$2a$31$"+strings.Repeat("a", 53))
	_, err = users.Authenticate(t.Context(), ada.Email, password)
	require.ErrorIs(t, err, auth.ErrCredentials)
}
