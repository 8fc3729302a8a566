package booking_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestNumber_IsFoundAsTyped(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	req := request(slot(0))
	req.Language = "fr"
	b := hold(t, store, req)
	require.Regexp(t, `^[2-9A-HJKMNP-TV-Z]{8}$`, b.Number)
	other := hold(t, store, request(slot(1)))
	require.NotEqual(t, b.Number, other.Number)
	read, err := store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b.Number, read.Number)
	require.Equal(t, "fr", read.Language)

	for _, typed := range []string{b.Number, strings.ToLower(b.Number), " " + b.Number[:4] + "-" + b.Number[4:] + " "} {
		found, err := store.ByNumber(t.Context(), typed)
		require.NoError(t, err, typed)
		require.Equal(t, b.ID, found.ID)
		page, err := store.List(t.Context(), booking.ListOptions{Number: typed, Customer: "ada@example.com"})
		require.NoError(t, err, typed)
		require.Len(t, page.Bookings, 1)
		require.Equal(t, b.ID, page.Bookings[0].ID)
	}
	_, err = store.List(t.Context(), booking.ListOptions{Number: "0OIL1234"})
	requireFields(t, err, "number")
	for _, wrong := range []string{"", "22222222", b.Number[:7], b.Number + "2", "0OIL1234", b.ID, "2222222\x00"} {
		_, err := store.ByNumber(t.Context(), wrong)
		require.ErrorIs(t, err, booking.ErrNotFound, wrong)
	}
	block, err := store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(5), To: slot(6)})
	require.NoError(t, err)
	require.Regexp(t, `^[2-9A-HJKMNP-TV-Z]{8}$`, block.Number)
}

// Another attempt, and no other booking.
func TestNumber_Collision(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	// Three attempts in a row get the same number.
	_, err := db.Exec(`
		CREATE SEQUENCE booking_platform.attempts;
		ALTER TABLE booking_platform.bookings ALTER COLUMN number
			SET DEFAULT '222222' || 22 + nextval('booking_platform.attempts') / 3`)
	require.NoError(t, err)
	numbers := map[string]bool{}
	for n := range 3 {
		numbers[hold(t, store, request(slot(n))).Number] = true
	}
	require.Len(t, numbers, 3)
	_, err = store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(5), To: slot(6)})
	require.NoError(t, err)
}

// None is found by an empty number.
func TestNumber_NoneBeforeTheColumn(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b, other := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
	_, err := db.Exec(`UPDATE booking_platform.bookings SET number = '' WHERE id IN ($1, $2)`, b.ID, other.ID)
	require.NoError(t, err)
	_, err = store.ByNumber(t.Context(), "")
	require.ErrorIs(t, err, booking.ErrNotFound)
	read, err := store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Empty(t, read.Number)
}
