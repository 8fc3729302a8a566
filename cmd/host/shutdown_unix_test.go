//go:build unix

package main_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// signalled is the variable with the database of the host that this test binary runs.
const (
	signalled       = "TEST_SIGNALLED_HOST"
	signalledSecret = "whsec_signalled"
)

// TestSignalledHost is the process that other tests signal.
func TestSignalledHost(t *testing.T) {
	if url := os.Getenv(signalled); url != "" {
		os.Exit(host.Run(t.Context(), nil, map[string]string{
			"DATABASE_URL": url, "PORT": "0", "METRICS_ADDR": "off", "DATA_DIR": t.TempDir(),
			"STRIPE_WEBHOOK_SECRET": signalledSecret,
			"HOLDS_PER_EMAIL":       "0", "HOLDS_PER_ADDRESS": "0",
		}, os.Stdout, os.Stderr))
	}
}

// Supervisors signal the process and its group, so a signal comes twice.
func TestShutdown_SignalSentTwice(t *testing.T) {
	t.Parallel()
	child := startSignalled(t, testdb.URL(t))
	await, address := child.await, child.address
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	require.NoError(t, err)
	defer conn.Close()
	// The host asks for the body, so the request has started.
	_, err = fmt.Fprintf(conn, "POST /api/bookings HTTP/1.1\r\nHost: %s\r\nContent-Type: "+
		"application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", address)
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
	_, err = answers.ReadString('\n')
	require.NoError(t, err)

	// The end of a terminal session is one too, unless nohup has it ignored.
	first := syscall.SIGHUP
	if signal.Ignored(first) {
		first = syscall.SIGTERM
	}
	require.NoError(t, child.Process.Signal(first))
	require.Contains(t, await(`"msg":"shutting down"`), `"reason":"`+first.String()+` signal received"`)
	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	_, err = conn.Write([]byte("{}"))
	require.NoError(t, err)
	res, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	await(`"msg":"stopped"`)
	require.NoError(t, child.Wait())
}

// signalledHost is a host in a separate process.
type signalledHost struct {
	*exec.Cmd
	address string
	// await returns the next line of its log with a text.
	await func(what string) string
}

func startSignalled(t *testing.T, databaseURL string) *signalledHost {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), program, "-test.run=^TestSignalledHost$", "-test.timeout=120s")
	child.Env = append(os.Environ(), signalled+"="+databaseURL)
	stderr, err := child.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	// Reads all lines, so that the process does not block on its log.
	lines := make(chan string, 1<<16)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	await := func(what string) string {
		for line := range lines {
			if strings.Contains(line, what) {
				return line
			}
		}
		require.Fail(t, "the host ended without a line", what)
		return ""
	}
	_, address, _ := strings.Cut(await(`"msg":"serving"`), `"address":"http://`)
	address, _, _ = strings.Cut(address, `"`)
	return &signalledHost{child, address, await}
}

// Answered requests took effect, no request is answered 5xx, and slow clients do not
// delay the end.
func TestShutdown_UnderLoad(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	child := startSignalled(t, url)
	db := testdb.Open(t, testdb.PQ, url)
	store, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	_, err = store.CreateResource(t.Context(), booking.Resource{
		Slug: "talk", Name: "Talk", TimeZone: "UTC", SlotLength: time.Hour, Capacity: 1000,
		Price: booking.Money{Currency: "eur"},
	})
	require.NoError(t, err)
	for i := range 30 {
		conn, err := net.Dial("tcp", child.address)
		require.NoError(t, err)
		defer conn.Close()
		switch i % 3 {
		case 0:
			_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		case 1:
			_, err = io.WriteString(conn, "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
		case 2:
			require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
			_, err = io.WriteString(conn, strings.Repeat("GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n", 200))
		}
		require.NoError(t, err)
	}

	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	var mu sync.Mutex
	var events, bookings []string
	var strange []string
	enough := make(chan struct{})
	var answers atomic.Int64
	send := func(path, body string, header ...string) (string, bool) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+child.address+path,
			strings.NewReader(body))
		if err != nil {
			return "", false
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", false // It was never taken, or was cut.
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return "", false
		}
		if res.StatusCode/100 != 2 {
			mu.Lock()
			strange = append(strange, fmt.Sprintf("%s: %d %s", path, res.StatusCode, text))
			mu.Unlock()
		}
		if answers.Add(1) == 200 {
			close(enough)
		}
		return string(text), res.StatusCode/100 == 2
	}
	var senders sync.WaitGroup
	for worker := range 8 {
		senders.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("evt_%d_%d", worker, i)
				body := fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","data":{"object":{"id":"cs_%s","object":"checkout.session","payment_status":"paid","client_reference_id":"0193b3a0-0000-7000-8000-000000000000"}}}`, id, id)
				_, ok := send("/webhook", body, "Stripe-Signature", signedWith(signalledSecret, body))
				if !ok {
					return
				}
				mu.Lock()
				events = append(events, id)
				mu.Unlock()
			}
		})
		senders.Go(func() {
			for {
				text, ok := send("/api/bookings",
					fmt.Sprintf(`{"resource":"talk","start":%q,"firstName":"Ada","lastName":"L","email":"a%d@example.com"}`, start, worker))
				if !ok {
					return
				}
				var made created
				if json.Unmarshal([]byte(text), &made) == nil {
					mu.Lock()
					bookings = append(bookings, made.ID)
					mu.Unlock()
				}
			}
		})
	}
	<-enough
	began := time.Now()
	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	child.await(`"msg":"stopped"`)
	require.NoError(t, child.Wait(), "every request was finished")
	require.Less(t, time.Since(began), 30*time.Second)
	senders.Wait()

	require.Empty(t, strange)
	require.NotEmpty(t, events)
	require.NotEmpty(t, bookings)
	count := func(query string, args ...any) (n int) {
		require.NoError(t, db.QueryRow(query, args...).Scan(&n))
		return n
	}
	require.Equal(t, len(events), count(`SELECT count(*) FROM booking_platform.payment_events e WHERE e.outcome = 'unmatched' AND e.stripe_event_id = ANY (string_to_array($1, ','))`, strings.Join(events, ",")),
		"every event that was answered 200 is in the ledger")
	require.Equal(t, len(bookings), count(`SELECT count(*) FROM booking_platform.bookings b WHERE b.status = 'confirmed' AND b.id::text = ANY (string_to_array($1, ','))`, strings.Join(bookings, ",")))
	require.Zero(t, count(`SELECT count(*) FROM booking_platform.bookings b WHERE b.status <> 'confirmed'`),
		"nothing was left half done")
}

// signedWith is the signature header of a delivery.
func signedWith(secret, body string) string {
	now := time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", now, body)
	return fmt.Sprintf("t=%d,v1=%s", now, hex.EncodeToString(mac.Sum(nil)))
}
