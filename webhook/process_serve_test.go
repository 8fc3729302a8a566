package webhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Each outcome on every driver: response, row, effect, counters.
func TestServeHTTP_Answers(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		effects(t, db)
		r := newReceiver(t, db, webhook.Options{})
		broken := true
		r.Handle(completed, effect)
		r.Handle("charge.refunded", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Unmatched, nil
		})
		r.Handle("charge.dispute.created", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
			return webhook.Parked, nil
		})
		r.Handle("refund.updated", func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			outcome, err := effect(ctx, tx, ev)
			if broken {
				err = errors.New("no luck today")
			}
			return outcome, err
		})

		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
		e := entry(t, db, "evt_1")
		require.Equal(t, webhook.Entry{
			ID: "evt_1", Type: completed, APIVersion: "2023-10-16", ObjectID: "cs_test_1", SessionID: "cs_test_1",
			PaymentIntentID: "pi_1", Reference: "order-1", Outcome: webhook.Processed, Attempts: 1,
			Created: time.Unix(1795000000, 0).UTC(), ReceivedAt: e.ReceivedAt, ProcessedAt: e.ProcessedAt,
		}, e.Entry)
		require.WithinDuration(t, time.Now(), e.ReceivedAt, time.Minute)
		require.WithinDuration(t, time.Now(), e.ProcessedAt, time.Minute)
		require.Equal(t, time.UTC, e.ReceivedAt.Location())
		require.Empty(t, e.Payload)

		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_1", completed)))
		require.Equal(t, e, entry(t, db, "evt_1"), "a duplicate leaves the row as it is")

		require.Equal(t, done(webhook.Ignored), send(t, r, event("evt_2", "customer.created")))
		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_2", "customer.created")))
		e = entry(t, db, "evt_2")
		require.Equal(t, webhook.Ignored, e.Outcome)
		require.Equal(t, webhook.ReasonNoHandler, e.Reason)
		require.False(t, e.ProcessedAt.IsZero())
		require.Equal(t, string(event("evt_2", "customer.created")), e.Payload, "another replica may have a handler")

		require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_3", "charge.refunded")))
		require.Equal(t, done(webhook.Unmatched), send(t, r, event("evt_3", "charge.refunded")))
		e = entry(t, db, "evt_3")
		require.Equal(t, webhook.Unmatched, e.Outcome)
		require.Equal(t, 2, e.Attempts, "what was unmatched is tried again")
		require.True(t, e.ProcessedAt.IsZero())
		require.Equal(t, string(event("evt_3", "charge.refunded")), e.Payload)

		require.Equal(t, done(webhook.Parked), send(t, r, event("evt_4", "charge.dispute.created")))
		require.Equal(t, done(webhook.Duplicate), send(t, r, event("evt_4", "charge.dispute.created")))
		e = entry(t, db, "evt_4")
		require.Equal(t, webhook.Parked, e.Outcome)
		require.False(t, e.ProcessedAt.IsZero())
		require.NotEmpty(t, e.Payload)

		before := countEffects(t, db)
		require.Equal(t, failed, send(t, r, event("evt_5", "refund.updated")))
		require.Equal(t, failed, send(t, r, event("evt_5", "refund.updated")))
		require.Equal(t, before, countEffects(t, db), "what a failed attempt wrote is gone")
		e = entry(t, db, "evt_5")
		require.Equal(t, webhook.Failed, e.Outcome)
		require.Equal(t, 2, e.Attempts)
		require.Contains(t, e.LastError, "no luck today")
		require.True(t, e.ProcessedAt.IsZero())
		require.NotEmpty(t, e.Payload)
		first := e.ReceivedAt
		broken = false
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_5", "refund.updated")))
		e = entry(t, db, "evt_5")
		require.Equal(t, webhook.Processed, e.Outcome)
		require.Equal(t, 3, e.Attempts)
		require.Equal(t, first, e.ReceivedAt, "the first arrival's time stays")
		require.False(t, e.ProcessedAt.IsZero())
		require.Empty(t, e.LastError)
		require.Empty(t, e.Payload, "a payload is dropped when its event becomes processed")
		require.Equal(t, before+1, countEffects(t, db))

		require.Equal(t, refused(webhook.ReasonSignatureMissing),
			serve(t, r, httptest.NewRequest(http.MethodPost, "/", nil)))
		require.Equal(t, webhook.Stats{Received: 12, Processed: 2, Duplicates: 3, Ignored: 1, Unmatched: 2, Parked: 1,
			Errors: 2, Rejected: 1}, sums(r))
	})
}

func TestServeHTTP_KeepPayload(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{KeepPayload: true})
	send(t, r, event("evt_1", completed))
	require.Equal(t, string(event("evt_1", completed)), entry(t, db, "evt_1").Payload)
}

func TestServeHTTP_Methods(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete,
		http.MethodOptions} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, "/webhook", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		require.Equal(t, http.MethodPost, w.Header().Get("Allow"))
	}
	require.Zero(t, sums(r), "what is no delivery is not counted")
}

// stripe-go's ConstructEvent rejects these.
func TestServeHTTP_OtherAPIVersion(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)
	payload := []byte(`{"id":"evt_1","type":"checkout.session.completed","api_version":"2031-01-01",` +
		`"data":{"object":{"id":"cs_1"}}}`)
	require.Equal(t, done(webhook.Processed), send(t, r, payload))
	require.Equal(t, 1, countEffects(t, db))
	require.Equal(t, webhook.Stats{Received: 1, Processed: 1, OtherVersion: 1}, sums(r))
	require.Equal(t, "2031-01-01", entry(t, db, "evt_1").APIVersion)
}

// Every body is answered 4xx or acknowledged, and only an event leaves a row.
func TestServeHTTP_Bodies(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	r.Handle(completed, effect)

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(event("evt_zipped", completed))
	require.NoError(t, err)
	require.NoError(t, z.Close())

	tooLarge := answer{Status: http.StatusRequestEntityTooLarge, Error: string(webhook.ReasonBodyTooLarge)}
	notAnEvent := refused(webhook.ReasonNotAnEvent)
	padded := func(size int) []byte {
		head := `{"id":"evt_padded","type":"other","pad":"`
		return []byte(head + strings.Repeat("x", size-len(head)-2) + `"}`)
	}
	for name, c := range map[string]struct {
		body []byte
		want answer
	}{
		"empty":                    {nil, notAnEvent},
		"10 MB":                    {bytes.Repeat([]byte("x"), 10<<20), tooLarge},
		"one byte more than 1 MiB": {padded(1<<20 + 1), tooLarge},
		"1 MiB":                    {padded(1 << 20), done(webhook.Ignored)},
		"gzip":                     {zipped.Bytes(), notAnEvent},
		"bad UTF-8":                {[]byte("{\"id\":\"\xff\",\"type\":\"t\"}"), notAnEvent},
		"deep JSON":                {bytes.Repeat([]byte("["), 1<<20), notAnEvent},
		"no data": {[]byte(`{"id":"evt_nodata","type":"checkout.session.completed"}`),
			done(webhook.Processed)},
		"data that is null": {[]byte(`{"id":"evt_null","type":"checkout.session.completed","data":null}`),
			done(webhook.Processed)},
		"data of a wrong type": {[]byte(`{"id":"evt_wrong","type":"checkout.session.completed","data":"x"}`),
			done(webhook.Processed)},
		"an id of a wrong type": {[]byte(`{"id":{},"type":"checkout.session.completed"}`), notAnEvent},
		"a NUL beside the id": {[]byte(`{"id":"evt_nul","type":"other","account":"\u0000",` +
			`"data":{"object":{"id":"\u0000"}}}`), done(webhook.Ignored)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, send(t, r, c.body))
			if c.want.Status != http.StatusOK {
				unsigned := serve(t, r, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(c.body)))
				require.Contains(t, []int{400, 413}, unsigned.Status)
			}
		})
	}
	entries, err := webhook.NewLedger(db, "").List(t.Context(), webhook.ListOptions{})
	require.NoError(t, err)
	require.Len(t, entries, 5)
}

// The payload and error of a failed event are stored, so both must be valid text.
func TestServeHTTP_StoredEventsAreValidText(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	r := newReceiver(t, db, webhook.Options{KeepPayload: true})
	r.Handle("odd", failing(errors.New("bad \x00 \xff "+strings.Repeat("é", 5000))))
	require.Equal(t, failed,
		send(t, r, []byte(`{"id":"evt_1","type":"odd","data":{"object":{"id":"\u0000","x":"\u0000\ud800"}}}`)))
	e := entry(t, db, "evt_1")
	require.Contains(t, e.LastError, "bad")
	require.LessOrEqual(t, len(e.LastError), 1000)
}

func TestServeHTTP_BodyEndsEarly(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{})
	payload := event("evt_1", completed)
	req := request(payload)
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(payload[:20]), iotest.ErrReader(io.ErrUnexpectedEOF)))
	require.Equal(t, refused(webhook.ReasonBodyUnreadable), serve(t, r, req))
	require.Equal(t, webhook.Stats{Received: 1, Rejected: 1}, sums(r))
}

// A client that sends less than it announced is cut off without settings of the server.
func TestServeHTTP_SlowBody(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{Timeout: 200 * time.Millisecond})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(eventuallyTimeout)))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Equal(t, webhook.Stats{Received: 1, Rejected: 1}, sums(r))
}

// Announcing a megabyte must not allocate it.
func TestServeHTTP_AnnouncedLengthTakesNoMemory(t *testing.T) {
	r := newReceiver(t, noDatabase(t), webhook.Options{MaxBadSignatures: -1})
	const senders = 200
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range senders {
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{"))
		req.ContentLength = 1 << 20
		require.Equal(t, http.StatusBadRequest, serve(t, r, req).Status)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(senders)<<18)
}

// The transaction goes on when the client disconnects.
func TestServeHTTP_ClientDisconnects(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	r := newReceiver(t, db, webhook.Options{})
	working, gone := make(chan struct{}), make(chan struct{})
	r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		close(working)
		<-gone
		return effect(ctx, tx, ev)
	})
	ctx, hangUp := context.WithCancel(t.Context())
	req := request(event("evt_1", completed)).WithContext(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.ServeHTTP(httptest.NewRecorder(), req)
	}()
	within(t, working, "the handler")
	hangUp()
	close(gone)
	within(t, finished, "the end")
	require.Equal(t, webhook.Processed, entry(t, db, "evt_1").Outcome)
	require.Equal(t, 1, countEffects(t, db))
}
