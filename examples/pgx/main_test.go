package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// start has four connections in a mode of pgx; "" is the default, which keeps prepared
// statements.
func start(t *testing.T, mode string) *service {
	t.Helper()
	u, err := url.Parse(pgtest.URL(t))
	require.NoError(t, err)
	query := u.Query()
	query.Set("pool_max_conns", "4")
	if mode != "" {
		query.Set("default_query_exec_mode", mode)
	}
	u.RawQuery = query.Encode()
	pool, err := pgxpool.New(t.Context(), u.String())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := newService(t.Context(), pool)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.close()) })
	return s
}

func (s *service) next(t *testing.T, party int) time.Time {
	t.Helper()
	// Not the slot that begins any moment and ends its hold.
	slot, err := s.bookings.NextSlot(t.Context(),
		booking.NextSlotRequest{Resource: tour.Slug, Party: party, After: time.Now().Add(2 * time.Hour)})
	require.NoError(t, err)
	return slot.Start
}

func TestShow_EachMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, show(t.Context(), start(t, mode)))
		})
	}
}

// If the COPY fails, neither booking nor trip is there, and the places are free.
func TestBook_OneTransaction(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	at := s.next(t, tour.Capacity)
	_, err := s.pool.Exec(t.Context(), `ALTER TABLE tours.passengers ADD CONSTRAINT none CHECK (name <> 'Grace')`)
	require.NoError(t, err)
	_, err = s.book(t.Context(), at, []string{"Ada", "Grace"}, "ada@example.com")
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "23514", refused.Code)
	for _, table := range []string{"booking_platform.bookings", "tours.trips", "tours.passengers"} {
		var n int
		require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
		require.Zero(t, n, table)
	}
	require.Equal(t, at, s.next(t, tour.Capacity))

	b, err := s.book(t.Context(), at, []string{"Ada", "Mary"}, "ada@example.com")
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, b.Status)
	names, err := s.passengers(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"Ada", "Mary"}, names)
}

// Twenty customers, four connections: eight places are sold.
func TestBook_NoPlaceIsSoldTwice(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	at := s.next(t, tour.Capacity)
	var sold atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := s.book(t.Context(), at, []string{"Ada"}, fmt.Sprintf("ada%d@example.com", i))
			switch {
			case err == nil:
				sold.Add(1)
			case !errors.Is(err, booking.ErrSlotTaken):
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(tour.Capacity), sold.Load())
}

// The batch's violation is the service's own error, and rolls the booking back.
func TestErrors_UniqueViolation(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, err := s.book(t.Context(), s.next(t, 1), []string{"Ada"}, "ada@example.com")
	require.NoError(t, err)
	err = s.inTx(t.Context(), func(conn *sql.Conn, tx *sql.Tx) error {
		if _, err := s.bookings.Tx(tx).Cancel(t.Context(), booking.CancelRequest{ID: b.ID}); err != nil {
			return err
		}
		return raw(conn, func(c *pgx.Conn) error { return store(t.Context(), c, b.ID, []string{"Ada"}) })
	})
	require.ErrorIs(t, err, errTwice)
	b, err = s.bookings.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, b.Status)
}

// The packages tell to retry it, through database/sql and through pgx.
func TestErrors_SerializationFailure(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, *sql.Conn, *sql.Tx) error{
		"database/sql": func(ctx context.Context, _ *sql.Conn, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE tours.trips SET boat = 'Nixe'`)
			return err
		},
		"pgx": func(ctx context.Context, conn *sql.Conn, _ *sql.Tx) error {
			return raw(conn, func(c *pgx.Conn) error {
				_, err := c.Exec(ctx, `UPDATE tours.trips SET boat = 'Nixe'`)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "")
			_, err := s.book(t.Context(), s.next(t, 1), []string{"Ada"}, "ada@example.com")
			require.NoError(t, err)
			conn, err := s.db.Conn(t.Context())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			tx, err := conn.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT count(*) FROM tours.trips`).Scan(new(int)))
			_, err = s.pool.Exec(t.Context(), `UPDATE tours.trips SET boat = 'Melusine'`)
			require.NoError(t, err)
			err = write(t.Context(), conn, tx)
			require.True(t, booking.IsRetryable(err), "%v", err)
		})
	}
}

func TestWebhook_PaidOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	b, err := s.book(t.Context(), s.next(t, 1), []string{"Ada"}, "ada@example.com")
	require.NoError(t, err)
	payload := fmt.Appendf(nil, `{"id":"evt_1","object":"event","type":"checkout.session.completed","data":{"object":{
		"id":"cs_1","object":"checkout.session","payment_status":"paid","client_reference_id":"%s"}}}`, b.ID)
	outcomes := map[string]int{}
	for range 5 {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", bytes.NewReader(payload))
		req.Header.Set("Stripe-Signature", stripetest.Sign(payload, "whsec_example", time.Now()))
		answer := httptest.NewRecorder()
		s.receiver.ServeHTTP(answer, req)
		outcomes[answer.Body.String()]++
	}
	require.Len(t, outcomes, 2, "%v", outcomes)
	var paid bool
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT paid FROM tours.trips`).Scan(&paid))
	require.True(t, paid)
}
