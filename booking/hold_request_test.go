package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Each field alone, and all at once: nothing is stored.
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
	note := func(s string) func(*booking.HoldRequest) { return func(r *booking.HoldRequest) { r.Note = s } }
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
		"lastName": texts(func(r *booking.HoldRequest, s string) { r.Customer.LastName = s }, " ", "\t", "\u2800",
			strings.Repeat("n", 201)),
		"email": texts(func(r *booking.HoldRequest, s string) { r.Customer.Email = s },
			"", "ada", "ada@", "@example.com", "ada@example", "a@b@example.com", "Ada <ada@example.com>",
			"ada@example.com, bob@example.com",
			"ada @example.com", "<ada@example.com>", "ada@[127.0.0.1]", "ada@example.com (Ada)",
			strings.Repeat("a", 243)+"@example.com"),
		"phone": texts(func(r *booking.HoldRequest, s string) { r.Customer.Phone = s },
			"call me", "1", "12", " ", "+()", "+33 1 23 45 67 89\n", "０１２３４", "\u202a+33123456789\u202c",
			strings.Repeat("1", 21), "1 2 3"+strings.Repeat(" ", 36)),
		"language": {
			func(r *booking.HoldRequest) { r.Language = "fr_FR" },
			func(r *booking.HoldRequest) { r.Language = strings.Repeat("a", 36) },
		},
		"note": {
			note("a\x00b"), note("a\x1b[1mb"), note("a\xffb"), note("a\u202eb"), note(strings.Repeat("é", 1001)),
		},
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
	requireFields(t, err, "resource", "start", "firstName", "email")

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
		Email: "o'brien+tag@sub.example.co.uk", Phone: "+33 (0)1.23-45 67 89"}
	req.Note = strings.Repeat("é", 990) + "\r\ntwo\tx"
	req.Reference, req.Metadata = strings.Repeat("r", 255),
		map[string]string{"": "", "note": "two\nlines", "html": "<b>&</b>"}
	b := hold(t, store, req)
	got, err := store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b, got)
	require.Equal(t, req.Metadata, got.Metadata)
	require.Equal(t, req.Customer, got.Customer)
	require.Equal(t, req.Note, got.Note)

	// One name is enough.
	req = request(slot(1))
	req.Customer.LastName = ""
	b = hold(t, store, req)
	require.Equal(t, "Ada", b.Customer.Name())
	require.Equal(t, "Ada Lovelace", ada.Name())
}

// The phone number and the note belong to the request under an idempotency key.
func TestHold_KeyCoversPhoneAndNote(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	req := request(slot(0))
	req.IdempotencyKey, req.Customer.Phone, req.Note = "k", "112", "at the gate"
	b := hold(t, store, req)
	req.Language = "fr" // It does not belong to it.
	require.Equal(t, b.ID, hold(t, store, req).ID)
	for _, change := range []func(*booking.HoldRequest){
		func(r *booking.HoldRequest) { r.Customer.Phone = "" }, func(r *booking.HoldRequest) { r.Note = "" },
		func(r *booking.HoldRequest) { r.Customer.Phone, r.Note = "", "112" },
	} {
		other := req
		change(&other)
		_, err := store.Hold(t.Context(), other)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
	}
}

// A hold of the previous binary, which names neither column.
func TestHold_WithoutNewColumns(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	require.NoError(t, func() error {
		_, err := db.Exec(`INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status,
    hold_expires_at, amount_minor, currency)
SELECT gen_random_uuid(), b.resource_id, b.units, b.party, tstzrange(upper(b.during), upper(b.during) + '1h'),
    tstzrange(upper(b.during), upper(b.during) + '1h'), b.status, b.hold_expires_at, b.amount_minor, b.currency
FROM booking_platform.bookings b WHERE b.id = $1`, b.ID)
		return err
	}())
	page, err := store.List(t.Context(), booking.ListOptions{})
	require.NoError(t, err)
	require.Len(t, page.Bookings, 2)
	for _, bad := range []string{`phone = 'x'`, `phone = repeat('1', 41)`, `note = repeat('x', 1001)`} {
		_, err := db.Exec(`UPDATE booking_platform.bookings SET ` + bad)
		require.ErrorContains(t, err, "_bounded")
	}
}

// M6.
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

func keyed(start time.Time) booking.HoldRequest {
	req := request(start)
	req.IdempotencyKey = "key"
	req.Metadata = map[string]string{"a": "1", "b": "2"}
	return req
}

func TestHold_RepeatReturnsSameBooking(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		resource := create(t, store, func(r *booking.Resource) { r.Capacity = 3 })
		first := hold(t, store, keyed(slot(0)))
		require.Equal(t, first, hold(t, store, keyed(slot(0))))

		req := keyed(slot(0).In(time.FixedZone("", 7200)))
		req.Resource, req.Party = resource.ID, 1
		req.Customer.Email = "ADA@Example.com"
		require.Equal(t, first, hold(t, store, req), "the same request in another form")

		for name, change := range map[string]func(*booking.HoldRequest){
			"start":     func(r *booking.HoldRequest) { r.Start = slot(1) },
			"party":     func(r *booking.HoldRequest) { r.Party = 2 },
			"name":      func(r *booking.HoldRequest) { r.Customer.LastName = "Byron" },
			"reference": func(r *booking.HoldRequest) { r.Reference = "other" },
			"metadata":  func(r *booking.HoldRequest) { r.Metadata = nil },
		} {
			req := keyed(slot(0))
			change(&req)
			_, err := store.Hold(t.Context(), req)
			require.ErrorIs(t, err, booking.ErrIdempotencyMismatch, name)
		}
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	})
}

// M20: Another customer's booking is neither revealed nor a conflict, and using the key
// first does not reserve it.
func TestHold_SameKeyOtherCustomer(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store, err := booking.New(db, booking.Options{OwnerSecrets: secrets})
		require.NoError(t, err)
		create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		bobs := keyed(slot(0))
		bobs.Customer.Email = "bob@example.com"
		first := hold(t, store, bobs)
		adas := hold(t, store, keyed(slot(0)))
		require.NotEqual(t, first.ID, adas.ID)
		require.NotEqual(t, first.OwnerToken, adas.OwnerToken)
		other := keyed(slot(1))
		other.Customer.Email, other.Party = "carl@example.com", 2
		require.NotEqual(t, first.ID, hold(t, store, other).ID, "another request is no conflict")

		require.Equal(t, first, hold(t, store, bobs))
		require.Equal(t, adas, hold(t, store, keyed(slot(0))))
		again := keyed(slot(0))
		again.Customer.Email = "Bob@EXAMPLE.com"
		require.Equal(t, first, hold(t, store, again), "the e-mail's case does not matter")
		again.Party = 2
		_, err = store.Hold(t.Context(), again)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)

		_, err = store.Release(t.Context(), adas.ID)
		require.NoError(t, err)
		require.Equal(t, first, hold(t, store, bobs), "a release frees the key of one customer")
		require.NotEqual(t, adas.ID, hold(t, store, keyed(slot(0))).ID)
	})
}

// M20: Each of many customers, several times, gets one booking.
func TestHold_ConcurrentSameKeyManyCustomers(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 10 })
	requireSold(t, 24, concurrently(t, db, 24, func(store *booking.Store, client int) error {
		req := keyed(slot(0))
		req.Customer.Email = fmt.Sprintf("%d@example.com", client%6)
		_, err := store.Hold(context.Background(), req)
		return err
	}))
	require.Equal(t, 6, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	require.Equal(t, 6, count(t, db, `SELECT count(DISTINCT email) FROM booking_platform.bookings`))
}

func TestHold_ConcurrentRepeats(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 5 })
		var mu sync.Mutex
		ids := map[string]int{}
		errs := concurrently(t, db, 20, func(store *booking.Store, _ int) error {
			b, err := store.Hold(context.Background(), keyed(slot(0)))
			mu.Lock()
			defer mu.Unlock()
			ids[b.ID]++
			return err
		})
		requireSold(t, 20, errs)
		require.Len(t, ids, 1)
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	})
}

// Its slot is taken by this booking, has passed, is no longer a slot, or the resource is
// inactive.
func TestHold_RepeatOfRequestNowInvalid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"taken":      `SELECT 1`,
		"passed":     `UPDATE booking_platform.resources SET notice_seconds = 864000`,
		"no slot":    `UPDATE booking_platform.resources SET step_seconds = 61`,
		"not active": `UPDATE booking_platform.resources SET active = false`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store)
			first := hold(t, store, keyed(slot(0)))
			exec(t, db, change)
			require.Equal(t, first, hold(t, store, keyed(slot(0))))
			require.Equal(t, first, hold(t, newStore(t, db), keyed(slot(0))))
			_, err := store.Hold(t.Context(), request(slot(0)))
			require.Error(t, err)
			other := keyed(slot(0))
			other.Reference = "other"
			_, err = store.Hold(t.Context(), other)
			require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		})
	}
}

type afterFirstQuery struct {
	booking.Querier
	meddle func()
}

func (m *afterFirstQuery) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := m.Querier.QueryContext(ctx, query, args...)
	if meddle := m.meddle; meddle != nil {
		m.meddle = nil
		meddle()
	}
	return rows, err
}

// A repeat finds its slot taken and its key in use, and the booking is released
// meanwhile.
func TestHold_RepeatWhileReleased(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	first := hold(t, store, keyed(slot(0)))
	second, err := store.Tx(&afterFirstQuery{db, func() {
		_, err := store.Release(t.Context(), first.ID)
		require.NoError(t, err)
	}}).Hold(t.Context(), keyed(slot(0)))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
}

func TestHold_RepeatAfterEnd(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	first := hold(t, store, keyed(slot(0)))
	released, err := store.Release(t.Context(), first.ID)
	require.NoError(t, err)
	require.Empty(t, released.IdempotencyKey)
	second := hold(t, store, keyed(slot(0)))
	require.NotEqual(t, first.ID, second.ID, "a released hold frees its key")

	expireHolds(t, db, second.ID)
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	again := hold(t, store, keyed(slot(0)))
	require.Equal(t, second.ID, again.ID, "an expired hold keeps its key: the repeat returns it")
	require.Equal(t, booking.StatusExpired, again.Status)
}
