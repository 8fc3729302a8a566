package auth_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// However long the comparison takes, with bcrypt for example.
func TestLogin_RefusalsTakeEqualTime(t *testing.T) {
	t.Parallel()
	for _, work := range []time.Duration{0, 45 * time.Millisecond, 300 * time.Millisecond} {
		for _, match := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				matches := auth.NewPasswords(1, func(string, string) (bool, error) {
					time.Sleep(work)
					return match, nil
				})
				began := time.Now()
				got, err := matches(t.Context())
				require.NoError(t, err)
				require.Equal(t, match, got)
				want := auth.Refusal
				if match {
					want = work
				}
				require.Equal(t, want, time.Since(began))
			})
		}
	}
}

// Other logins hash meanwhile, and a caller's context ends the wait.
func TestLogin_RefusalDoesNotHoldHashSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		matches := auth.NewPasswords(1, func(string, string) (bool, error) {
			time.Sleep(50 * time.Millisecond)
			return false, nil
		})
		began := time.Now()
		done := make(chan time.Duration, 3)
		for range 3 {
			go func() {
				_, _ = matches(t.Context())
				done <- time.Since(began)
			}()
		}
		for n := range 3 {
			require.Equal(t, time.Duration(n)*50*time.Millisecond+auth.Refusal, <-done)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		got, err := matches(ctx)
		require.NoError(t, err)
		require.False(t, got)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
	})
}

func TestLogin_WaitForHashSlotIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		matches := auth.NewPasswords(0, nil)
		began := time.Now()
		_, err := matches(t.Context())
		require.ErrorIs(t, err, auth.ErrBusy)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

// A cheaper dummy would reveal which users exist.
func TestPasswords_HashParameters(t *testing.T) {
	t.Parallel()
	users, _ := newUsers(t, auth.UsersOptions{})
	real, err := auth.Hash(password)
	require.NoError(t, err)
	want := &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	for _, hash := range []string{real, auth.DummyHash(users)} {
		params, _, _, err := argon2id.DecodeHash(hash)
		require.NoError(t, err)
		require.Equal(t, want, params)
	}
	match, err := argon2id.ComparePasswordAndHash(password, auth.DummyHash(users))
	require.NoError(t, err)
	require.False(t, match)
}

// Each hash takes 19 MiB.
func TestPasswords_MaxHashing(t *testing.T) {
	t.Parallel()
	users, _ := newUsers(t, auth.UsersOptions{MaxHashing: 1})
	_, err := users.EnsureAdmin(t.Context(), "root@example.com", password)
	require.NoError(t, err)
	entered, release := make(chan struct{}), make(chan struct{})
	var hashes atomic.Int32
	auth.ReplaceComparison(users, func(string, string) (bool, error) {
		if hashes.Add(1) == 1 {
			close(entered)
			<-release
		}
		return false, nil
	})
	first := make(chan error, 1)
	go func() {
		_, err := users.Authenticate(context.Background(), "a@example.com", password)
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = users.Authenticate(ctx, "b@example.com", password)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, auth.ErrCredentials, "not asked is not refused")
	require.EqualValues(t, 1, hashes.Load())

	patient, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	created, err := users.EnsureAdmin(patient, "root@example.com", password)
	require.NoError(t, err, "for a user that exists nothing is hashed")
	require.False(t, created)

	close(release)
	require.ErrorIs(t, <-first, auth.ErrCredentials)
	_, err = users.Authenticate(t.Context(), "b@example.com", password)
	require.ErrorIs(t, err, auth.ErrCredentials, "the turn was given back")
}

// Foreign hashes, and those with other parameters, are replaced at the first login. A
// wrong password changes nothing.
func TestAuthenticate_RenewsOldHashes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	blowfish, err := bcrypt.GenerateFromPassword([]byte(password), 5)
	require.NoError(t, err)
	weak, err := argon2id.CreateHash(password,
		&argon2id.Params{Memory: 8 * 1024, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	// Node's library writes 2b, PHP's 2y; the function is the same.
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
func TestAuthenticate_CostlyHash(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	users, err := auth.NewUsers(db, quickRefusal)
	require.NoError(t, err)
	ada := addUser(t, db, "ada@example.com", auth.RoleOps)
	exec(t, db, `UPDATE booking_platform.users SET password_hash = $2::text WHERE id = $1::uuid`, ada.ID,
		"$2a$31$"+strings.Repeat("a", 53))
	_, err = users.Authenticate(t.Context(), ada.Email, password)
	require.ErrorIs(t, err, auth.ErrCredentials)
}
