package booking_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Each field alone, and all at once: the error names the field and nothing is stored.
func TestHold_InvalidFields(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 4 })
	texts := func(set func(*booking.HoldRequest, string), bad ...string) (changes []func(*booking.HoldRequest)) {
		for _, text := range append(bad, "a\x00b", "a\r\nb", "a\x1b[1mb", "a\xffb") {
			changes = append(changes, func(r *booking.HoldRequest) { set(r, text) })
		}
		return changes
	}
	many := map[string]string{}
	for n := range 51 {
		many[fmt.Sprint(n)] = ""
	}
	start := func(at time.Time) func(*booking.HoldRequest) {
		return func(r *booking.HoldRequest) { r.Start = at }
	}
	metadata := func(m map[string]string) func(*booking.HoldRequest) {
		return func(r *booking.HoldRequest) { r.Metadata = m }
	}
	party := func(n int) func(*booking.HoldRequest) { return func(r *booking.HoldRequest) { r.Party = n } }
	wrong := map[string][]func(*booking.HoldRequest){
		"start": {
			start(slot(0).Add(time.Minute)), start(time.Time{}), start(slot(0).Add(1)), start(slot(-48)),
			start(slot(24 * 366)),
			start(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), start(time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC)),
			start(time.Unix(math.MaxInt64/2, 0)),
		},
		"party": {party(-1), party(5), party(math.MaxInt), party(math.MinInt)},
		"firstName": texts(func(r *booking.HoldRequest, s string) { r.Customer.FirstName = s }, "", "  ",
			strings.Repeat("é", 201)),
		"lastName": texts(func(r *booking.HoldRequest, s string) { r.Customer.LastName = s }, "", "\t",
			strings.Repeat("n", 201)),
		"email": texts(func(r *booking.HoldRequest, s string) { r.Customer.Email = s },
			"", "ada", "ada@", "@example.com", "ada@example", "a@b@example.com", "Ada <ada@example.com>",
			"ada@example.com, bob@example.com",
			"ada @example.com", "<ada@example.com>", "ada@[127.0.0.1]", "ada@example.com (Ada)",
			strings.Repeat("a", 243)+"@example.com"),
		"reference": texts(func(r *booking.HoldRequest, s string) { r.Reference = s }, strings.Repeat("r", 256)),
		"idempotencyKey": texts(func(r *booking.HoldRequest, s string) { r.IdempotencyKey = s },
			strings.Repeat("k", 256)),
		"metadata": {
			metadata(many), metadata(map[string]string{"k": strings.Repeat("v", 16<<10)}),
			metadata(map[string]string{"k": strings.Repeat("\n", 10<<10)}),
			metadata(map[string]string{"k": "\x00"}), metadata(map[string]string{"\x00": "v"}),
			metadata(map[string]string{"k": "\xff"}),
			metadata(map[string]string{"k": strings.Repeat("v", 64<<20)}),
		},
	}
	var fields []string
	all := request(slot(0))
	for field, changes := range wrong {
		fields = append(fields, field)
		for n, change := range changes {
			req := request(slot(0))
			change(&req)
			_, err := store.Hold(t.Context(), req)
			requireFields(t, err, field)
			require.NotErrorIs(t, err, booking.ErrNotFound)
			if n == 0 {
				change(&all)
			}
		}
	}
	_, err := store.Hold(t.Context(), all)
	requireFields(t, err, fields...)
	require.True(t, strings.HasPrefix(err.Error(), "booking: hold: invalid request: email "), "%v", err)

	all.Resource = "nothing"
	_, err = store.Hold(t.Context(), all)
	var invalid *booking.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Contains(t, invalid.Fields, "resource")
	require.Contains(t, invalid.Fields, "email")
	require.ErrorIs(t, err, booking.ErrNotFound)
	_, err = store.Hold(t.Context(), booking.HoldRequest{})
	requireFields(t, err, "resource", "start", "firstName", "lastName", "email")

	// A start in the past is named with the others.
	past := request(slot(-48))
	past.Customer.Email = "no"
	_, err = store.Hold(t.Context(), past)
	requireFields(t, err, "start", "email")
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
}

func TestHold_UnusualValidFields(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	req := request(slot(0))
	req.Customer = booking.Customer{FirstName: "Þórður", LastName: strings.Repeat("字", 200),
		Email: "o'brien+tag@sub.example.co.uk"}
	req.Reference, req.Metadata = strings.Repeat("r", 255),
		map[string]string{"": "", "note": "two\nlines", "html": "<b>&</b>"}
	b := hold(t, store, req)
	got, err := store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b, got)
	require.Equal(t, req.Metadata, got.Metadata)
}

func TestCheck_SavesNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withLimits(t, db, 1, 1)
	create(t, store)
	require.NoError(t, store.Check(t.Context(), requestFrom(slot(0), ada.Email, "10.0.0.1")))
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	require.Zero(t, count(t, db, quotaRows))
	taken := hold(t, store, requestFrom(slot(0), ada.Email, "10.0.0.1"))
	require.NoError(t, store.Check(t.Context(), requestFrom(taken.Start, ada.Email, "10.0.0.1")),
		"Check ignores availability and limits")
	for name, change := range map[string]func(*booking.HoldRequest){
		"email":    func(r *booking.HoldRequest) { r.Customer.Email = "ada" },
		"start":    func(r *booking.HoldRequest) { r.Start = slot(0).Add(1) },
		"party":    func(r *booking.HoldRequest) { r.Party = 2 },
		"resource": func(r *booking.HoldRequest) { r.Resource = "none" },
	} {
		req := request(slot(1))
		change(&req)
		requireFields(t, store.Check(t.Context(), req), name)
	}
}

// Input is refused with the field's name or stored unchanged; it never causes a database
// error.
func FuzzHold(f *testing.F) {
	store := newStore(f, testdb.New(f))
	create(f, store, func(r *booking.Resource) {
		r.Capacity, r.SlotLength, r.Horizon = 10000, time.Minute,
			3650*24*time.Hour
	})
	f.Add("court", "Ada", "Lovelace", "ada@example.com", "order 7", "key", "note", "it's", int64(60), 1)
	f.Add("COURT", "\x00", "\xff", "a@b", "\u2028", "\ufffe", "\u0000", "\U0010ffff", int64(-1), -1)
	f.Add("019A2B3C-0000-7000-8000-000000000000", "", " ", "<a@b.c>", "'", "\\", "\"", "{}", int64(1)<<62, 1<<40)
	f.Fuzz(func(t *testing.T, resource, first, last, email, reference, key, name, value string, seconds int64,
		party int) {
		req := booking.HoldRequest{
			Resource: resource, Start: time.Unix(seconds, 0), Party: party,
			Customer:  booking.Customer{FirstName: first, LastName: last, Email: email},
			Reference: reference, IdempotencyKey: key, Metadata: map[string]string{name: value},
		}
		for _, start := range []time.Time{req.Start, slot(0).Add(time.Duration(uint16(seconds)) * time.Minute)} {
			req.Start = start
			b, err := store.Hold(t.Context(), req)
			var invalid *booking.ValidationError
			if errors.As(err, &invalid) || errors.Is(err, booking.ErrSlotTaken) ||
				errors.Is(err, booking.ErrIdempotencyMismatch) {
				continue
			}
			require.NoError(t, err)
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b, stored)
			_, err = store.List(t.Context(), booking.ListOptions{Resource: resource, Reference: reference})
			require.NoError(t, err)
		}
	})
}
