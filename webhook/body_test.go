package webhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
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

// Whatever arrives is answered 4xx or acknowledged, and leaves a row only when it is an
// event.
func TestBodies(t *testing.T) {
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
		"a NUL beside the id":   {[]byte(`{"id":"evt_nul","type":"other","account":"\u0000","data":{"object":{"id":"\u0000"}}}`), done(webhook.Ignored)},
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

// A failed event's payload and error are kept, so both must be what Postgres can store.
func TestWhatIsKeptCanBeStored(t *testing.T) {
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

func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{})
	payload := event("evt_1", completed)
	req := request(payload)
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(payload[:20]), iotest.ErrReader(io.ErrUnexpectedEOF)))
	require.Equal(t, refused(webhook.ReasonBodyUnreadable), serve(t, r, req))
	require.Equal(t, webhook.Stats{Received: 1, Rejected: 1}, sums(r))
}

// A sender that announces more than it sends is cut off, without any help from the
// server's settings.
func TestSlowBodyIsBounded(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{Timeout: 200 * time.Millisecond})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Equal(t, webhook.Stats{Received: 1, Rejected: 1}, sums(r))
}

// Announcing a megabyte costs the sender nothing, so it must cost us nothing either.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	r := newReceiver(t, testdb.New(t), webhook.Options{MaxBadSignatures: -1})
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
