package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

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
