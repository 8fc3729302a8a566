package auth_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
)

func newUsers(t *testing.T, opts auth.UsersOptions) (*auth.UserTable, func(query string, args ...any) int) {
	t.Helper()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, opts)
	require.NoError(t, err)
	return users, func(query string, args ...any) int { return count(t, db, query, args...) }
}

func TestEnsureAdmin_Creates(t *testing.T) {
	t.Parallel()
	users, count := newUsers(t, auth.UsersOptions{})
	created, err := users.EnsureAdmin(t.Context(), " Root@Example.com", password)
	require.NoError(t, err)
	require.True(t, created)

	created, err = users.EnsureAdmin(t.Context(), "root@example.COM", "quite another password")
	require.NoError(t, err)
	require.False(t, created)
	admin, err := users.Authenticate(t.Context(), "root@example.com", password)
	require.NoError(t, err, "the first password still holds")
	require.Equal(t, "ADMIN", admin.Role)
	_, err = users.Authenticate(t.Context(), "root@example.com", "quite another password")
	require.ErrorIs(t, err, auth.ErrCredentials)
	require.Equal(t, 1, count(`SELECT count(*) FROM booking_platform.users WHERE active`))
}

func TestEnsureAdmin_ExistingUserStays(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	addUser(t, db, "u@example.com", "READONLY")
	exec(t, db, `UPDATE booking_platform.users SET active = false`)
	created, err := users.EnsureAdmin(t.Context(), "u@example.com", password)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, 1,
		count(t, db, `SELECT count(*) FROM booking_platform.users WHERE role = 'READONLY' AND NOT active`))
}

func TestEnsureAdmin_Concurrent(t *testing.T) {
	t.Parallel()
	users, count := newUsers(t, auth.UsersOptions{MaxHashing: 8})
	var wg sync.WaitGroup
	var made atomic.Int32
	begin := make(chan struct{})
	errs := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			<-begin
			created, err := users.EnsureAdmin(t.Context(), "root@example.com", password)
			if created {
				made.Add(1)
			}
			errs <- err
		})
	}
	close(begin)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, made.Load())
	require.Equal(t, 1, count(`SELECT count(*) FROM booking_platform.users`))
}

func TestEnsureAdmin_Validates(t *testing.T) {
	t.Parallel()
	users, count := newUsers(t, auth.UsersOptions{})
	for _, tc := range []struct{ email, password, field string }{
		{"", password, "email"}, {"root", password, "email"}, {"Root <root@example.com>", password, "email"},
		{"a@b\x00.example", password, "email"},
		{strings.Repeat("a", 250) + "@example.com", password, "email"},
		{"root@example.com", "", "password"}, {"root@example.com", "123456789", "password"},
		{"root@example.com", "äöüäöüäöü", "password"},
		{"root@example.com", strings.Repeat("x", 1025), "password"},
	} {
		_, err := users.EnsureAdmin(t.Context(), tc.email, tc.password)
		var wrong *auth.ValidationError
		require.ErrorAs(t, err, &wrong)
		require.Contains(t, wrong.Fields, tc.field, "%q", tc.email)
		require.Len(t, wrong.Fields, 1)
	}
	_, err := users.EnsureAdmin(t.Context(), "root", "short")
	require.EqualError(t, err, "auth: email must be an e-mail address; password must be at least 10 characters")
	require.Zero(t, count(`SELECT count(*) FROM booking_platform.users`))
	created, err := users.EnsureAdmin(t.Context(), "admin@localhost", strings.Repeat("x", 10))
	require.NoError(t, err)
	require.True(t, created)
}

func TestUser_ByID(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	user := addUser(t, db, "u@example.com", "OPS")
	got, err := users.User(t.Context(), user.ID)
	require.NoError(t, err)
	require.NotEmpty(t, got.Version)
	got.Version = ""
	require.Equal(t, user, got)
	for _, id := range []string{"", "7", "00000000-0000-7000-8000-000000000000", "'; DROP TABLE users"} {
		_, err := users.User(t.Context(), id)
		require.ErrorIs(t, err, auth.ErrNotFound, id)
	}
}

func TestDelete_DisabledUserWithSessions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	ada := addUser(t, db, "ada@example.com", auth.RoleOps)
	grace := addUser(t, db, "grace@example.com", auth.RoleOps)

	_, err = users.Delete(t.Context(), "Ada@example.com")
	require.ErrorIs(t, err, auth.ErrActive)
	account, err := users.Account(t.Context(), " ADA@example.com ")
	require.NoError(t, err)
	require.Equal(t, ada.ID, account.ID)
	require.True(t, account.Active)
	_, err = users.Disable(t.Context(), "ada@example.com")
	require.NoError(t, err)
	// A session that began while the user was disabled.
	for n, id := range []string{ada.ID, ada.ID, grace.ID} {
		exec(t, db, `INSERT INTO booking_platform.sessions (token_hash, user_id, expires_at)
			VALUES ($1::bytea, $2::text, now() + interval '1 day')`, []byte{byte(n)}, id)
	}
	listed, err := users.Sessions(t.Context(), ada.ID)
	require.NoError(t, err)
	require.Len(t, listed, 2)

	n, err := users.Delete(t.Context(), "Ada@example.com")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = users.Delete(t.Context(), "ada@example.com")
	require.ErrorIs(t, err, auth.ErrNotFound)
	_, err = users.Account(t.Context(), "ada@example.com")
	require.ErrorIs(t, err, auth.ErrNotFound)
	listed, err = users.Sessions(t.Context(), ada.ID)
	require.NoError(t, err)
	require.Empty(t, listed)
	listed, err = users.Sessions(t.Context(), grace.ID)
	require.NoError(t, err)
	require.Len(t, listed, 1, "another user's session stays")
}
