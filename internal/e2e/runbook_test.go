package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/booking-platform/booking-platform/internal/runbook"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// prelude defines what the page uses: the binary, a psql that need not be installed, the
// log.
const prelude = `
host() { "$HOST_BINARY" "$@"; }
sql() { RUNBOOK_SQL="$1" "$TEST_BINARY"; }
logs() { curl -s "$LOGS"; }
`

func TestRunbook_EverySection(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("curl")
	require.NoError(t, err, "the runbook needs curl: install it")
	page, err := os.ReadFile("../../RUNBOOK.md")
	require.NoError(t, err)
	blocks, err := runbook.Parse(string(page))
	require.NoError(t, err)
	sections := map[string][]runbook.Block{}
	for _, b := range blocks {
		if b.Host {
			sections[b.Section] = append(sections[b.Section], b)
		}
	}
	require.NotEmpty(t, sections)
	for name := range situations {
		require.Contains(t, sections, name, "a situation without commands")
	}
	for name, blocks := range sections {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newIncident(t, situations[name])
			for i, b := range blocks {
				if before := situations[name].before[i]; before != nil {
					before(n)
				}
				require.NoError(t, n.shell().Run(t.Context(), b), b.Commands)
			}
			if after := situations[name].after; after != nil {
				after(n)
			}
		})
	}
}

func (n *incident) shell() runbook.Shell {
	log := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, n.host.logs())
	}))
	n.t.Cleanup(log.Close)
	self, err := os.Executable()
	require.NoError(n.t, err)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.t.TempDir(), "TMPDIR=" + os.TempDir(), "HOST_BINARY=" + binary.path,
		"TEST_BINARY=" + self,
		"LOGS=" + log.URL, "BASE=" + n.host.base, "RUNBOOK_DATABASE=" + n.url,
	}
	for name, value := range n.env {
		env = append(env, name+"="+value)
	}
	for name, value := range n.names {
		env = append(env, name+"="+value)
	}
	return runbook.Shell{Prelude: prelude, Dir: n.t.TempDir(), Env: env}
}

// situations by section. One without runs on a healthy host.
var situations = map[string]situation{
	"webhook-retries": {before: map[int]func(*incident){
		0: func(n *incident) {
			// The event is not delivered again.
			n.exec(`CREATE FUNCTION public.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$`)
			n.exec(`CREATE TRIGGER broken BEFORE UPDATE ON booking_platform.payments FOR EACH ROW WHEN (NEW.completed) EXECUTE FUNCTION public.broken()`)
			b := n.book()
			// Pay waits for a successful delivery, which does not come.
			go func() { _, _ = n.stripe.Pay(n.t.Context(), b.StripeSessionID) }()
			n.eventually("failed", func() bool {
				return n.value(`SELECT count(*) FROM booking_platform.payment_events WHERE outcome = 'failed'`) == "1"
			})
			n.stopRetries()
			n.stripe.target.Store(nil)
			n.paid = b
		},
		2: func(n *incident) { n.exec(`DROP TRIGGER broken ON booking_platform.payments`) },
	}, after: func(n *incident) {
		require.Equal(n.t, "confirmed", n.value(`SELECT status FROM booking_platform.bookings WHERE id = $1::uuid`,
			n.paid.ID))
	}},
	"personal-data": {before: map[int]func(*incident){0: func(n *incident) {
		n.command("", "user", "disable", "ada@example.com")
		n.exec(`UPDATE booking_platform.bookings SET during = during_before, blocked = during_before FROM (
			SELECT id AS past, tstzrange(lower(during) - interval '1 year', upper(during) - interval '1 year') AS during_before
			FROM booking_platform.bookings) p WHERE id = p.past`)
	}}, after: func(n *incident) {
		require.Equal(n.t, "0", n.value(`SELECT count(*) FROM booking_platform.bookings WHERE email <> ''`))
	}},
	"invalid-signatures": {before: map[int]func(*incident){0: func(n *incident) {
		require.Equal(n.t, 400, n.deliver(map[string]any{"id": "evt_1", "object": "event", "type": "x"},
			"whsec_of_another_endpoint"))
	}}},
	"unmatched-event": {before: map[int]func(*incident){0: func(n *incident) {
		// A booking that a backup lacks.
		b := n.pay()
		n.names["RESOURCE"], n.names["SESSION"] = "studio", b.StripeSessionID
		n.names["START"] = n.value(`SELECT to_char(lower(during) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
			FROM booking_platform.bookings WHERE id = $1::uuid`, b.ID)
		n.names["EVENT"] = n.value(`UPDATE booking_platform.payment_events SET outcome = 'unmatched', processed_at = NULL,
			payment_ref = gen_random_uuid()::text WHERE stripe_session_id = $1 RETURNING stripe_event_id`, b.StripeSessionID)
		n.exec(`DELETE FROM booking_platform.payments WHERE booking_id = $1::uuid`, b.ID)
		n.exec(`DELETE FROM booking_platform.booking_history WHERE booking_id = $1::uuid`, b.ID)
		n.exec(`DELETE FROM booking_platform.bookings WHERE id = $1::uuid`, b.ID)
		n.stopRetries()
	}}},
	"database-down": {before: map[int]func(*incident){
		0: func(n *incident) { n.proxy.cut() },
		1: func(n *incident) { n.proxy.mend() },
	}, after: func(n *incident) { n.pay() }},
	// M3 and O1: what the leaked secret signed is not valid any more.
	"leaked-secret": {before: map[int]func(*incident){0: func(n *incident) {
		var line struct{ Link string }
		require.NoError(n.t, json.Unmarshal([]byte(n.command("", "booking", "renew-links", "--json", n.paid.ID)),
			&line))
		_, query, _ := strings.Cut(line.Link, "?")
		look := func() (link, session int) {
			n.names["OLD_LINK"] = line.Link
			return n.get("/success?"+query, ""), n.get("/auth/me", n.names["OLD_COOKIE"])
		}
		n.names["OLD_COOKIE"] = n.login("ada@example.com", "a long enough password")
		link, session := look()
		require.Equal(n.t, []int{200, 200}, []int{link, session})
		n.host.kill()
		n.env["SESSION_SECRET"] = "another secret of this test alone of 32 bytes or more"
		n.host = startHost(n.t, n.env)
		n.stripe.pointAt(n.host)
	}}},
	"stuck-refund": {stripe: stripetest.Options{PendingRefunds: true},
		before: map[int]func(*incident){0: func(n *incident) {
			n.command("", "payment", "refund", "--cause", "rain", n.paymentOf(n.paid))
			n.eventually("asked for", func() bool { return len(n.stripe.Refunds()) == 1 })
			_, err := n.stripe.FailRefund(n.stripe.Refunds()[0].ID, "lost_or_stolen_card")
			require.NoError(n.t, err)
			n.eventually("failed", func() bool {
				return n.value(`SELECT count(*) FROM booking_platform.refunds WHERE status = 'failed'`) == "1"
			})
			n.names["REFUND"] = n.value(`SELECT id::text FROM booking_platform.refunds`)
		}}, after: func(n *incident) {
			n.eventually("made again", func() bool { return len(n.stripe.Refunds()) == 2 })
		}},
	"parked-payment": {before: map[int]func(*incident){0: func(n *incident) {
		b := n.book()
		n.exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 1 WHERE id = $1::uuid`,
			n.paymentOf(b))
		n.payFor(b)
	}}, after: func(n *incident) {
		n.eventually("given back", func() bool { return len(n.stripe.Refunds()) == 1 })
		require.Contains(n.t, n.command("", "payment", "list"), "nothing needs attention")
	}},
	"payment-at-the-desk": {before: map[int]func(*incident){
		0: func(n *incident) {
			b := n.book()
			n.names["RESOURCE"] = "studio"
			n.names["START"] = n.value(`SELECT to_char(upper(during) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
				FROM booking_platform.bookings WHERE id = $1::uuid`, b.ID)
		},
		1: func(n *incident) {
			n.command("", "payment", "refund", "--cause", "rain",
				n.value(`SELECT id::text FROM booking_platform.payments WHERE method = 'cash'`))
			n.names["REFUND"] = n.value(`SELECT id::text FROM booking_platform.refunds`)
		},
	}, after: func(n *incident) {
		require.Equal(n.t, "25.00", n.value(`SELECT (refunded_minor / 100.0)::numeric(9,2)::text
			FROM booking_platform.payments WHERE method = 'cash'`))
		require.Empty(n.t, n.stripe.Refunds())
	}},
	"disputed-payment": {before: map[int]func(*incident){0: func(n *incident) {
		n.paymentOf(n.paid)
		_, err := n.stripe.Dispute(n.paid.StripeSessionID)
		require.NoError(n.t, err)
		require.NoError(n.t, n.stripe.WaitDelivered(n.t.Context()))
	}}},
	"host-down": {before: map[int]func(*incident){0: func(n *incident) { n.host.kill() }}},
	"out-of-memory": {before: map[int]func(*incident){0: func(n *incident) {
		n.host.kill()
		n.env["METRICS_ADDR"] = "127.0.0.1:" + aPort(n.t)
		n.host = startHost(n.t, n.env)
	}}},
	"stripe-does-not-answer": {before: map[int]func(*incident){0: func(n *incident) {
		n.env["STRIPE_API_BASE"] = "http://127.0.0.1:" + aPort(n.t)
		n.restart()
		n.refused("payment_unavailable")
	}}},
	"lock": {before: map[int]func(*incident){0: (*incident).block}},
	"restore": {before: map[int]func(*incident){0: func(n *incident) {
		n.names["SINCE"] = "24h"
		// These events came after the backup.
		n.exec(`DELETE FROM booking_platform.payment_events`)
	}}, after: func(n *incident) {
		require.NotEqual(n.t, "0", n.value(`SELECT count(*) FROM booking_platform.payment_events`))
		n.eventually("sold again", func() bool { return n.get("/", "") == 200 })
	}},
	"after-a-deployment": {standIn: true},
}

// beSQL replaces psql: it prints the result of RUNBOOK_SQL, if set, and exits.
func beSQL() {
	query := os.Getenv("RUNBOOK_SQL")
	if query == "" {
		return
	}
	if err := printAnswer(os.Stdout, os.Getenv("RUNBOOK_DATABASE"), query); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func printAnswer(out io.Writer, database, query string) error {
	db, err := sql.Open("postgres", database)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, strings.Join(columns, " | "))
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = text(*v.(*any))
		}
		fmt.Fprintln(out, strings.Join(texts, " | "))
	}
	return rows.Err()
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return map[bool]string{true: "t", false: "f"}[v]
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}
