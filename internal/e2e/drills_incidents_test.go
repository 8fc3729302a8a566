package e2e

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// drills by name; docs/incidents.md refers to them.
var drills = map[string]drill{
	"none": {cause: func(*incident) {}},

	// The host.
	"host-down": {cause: func(n *incident) { n.host.kill() }, says: []string{"no host runs here", `"Host down"`}},
	"configuration": {
		cause: func(n *incident) { n.env["SESSION_SECRET"], n.env["PORT"] = "short", "x" },
		look:  (*incident).start, findings: []string{"problem configuration", "problem configuration"},
		says: []string{`PORT is "x": it is a port number`, "SESSION_SECRET has a secret of 5 bytes", "openssl rand"},
	},
	"port": {cause: func(*incident) {}, look: (*incident).start, says: []string{"is in use", "choose another port"}},
	"metrics-port": {
		cause: func(n *incident) { n.env["PORT"] = "0" },
		look:  (*incident).start, says: []string{"address already in use; set METRICS_ADDR to a free address"},
	},
	"crash": {
		cause: (*incident).apart,
		look: func(n *incident) string {
			cmd := exec.CommandContext(n.t.Context(), "/bin/sh", "-c", `ulimit -v 200000; exec "$0"`, binary.path)
			for name, value := range n.env {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
			out, err := cmd.CombinedOutput()
			require.Error(n.t, err)
			return strings.SplitAfter(string(out), "\n")[0]
		}, says: []string{"fatal error: "},
	},
	"maintenance": {
		cause:    func(n *incident) { n.command("", "maintenance", "on", "--reason", "case 42") },
		findings: []string{"warning maintenance"}, says: []string{"host maintenance off"},
		mend: func(n *incident) { n.command("", "maintenance", "off") },
	},

	// The database.
	"password": {
		cause: func(n *incident) {
			n.env["DATABASE_URL"] = strings.Replace(n.env["DATABASE_URL"], "://", "://nobody:x@", 1)
			n.apart()
		},
		look: (*incident).start, findings: []string{"problem database"},
		says: []string{"DATABASE_URL is refused: the password"},
	},
	"no-such-database": {
		cause: func(n *incident) {
			name := regexp.MustCompile(`/[^/?]+(\?|$)`)
			n.env["DATABASE_URL"] = name.ReplaceAllString(n.env["DATABASE_URL"], "/nothing$1")
			n.apart()
		},
		look: (*incident).start, findings: []string{"problem database"},
		says: []string{"DATABASE_URL names the database nothing, which does not exist"},
	},
	"database-down": {
		cause:    func(n *incident) { n.proxy.cut() },
		findings: []string{"problem database"}, says: []string{`"Database down"`},
		mend: func(n *incident) { n.proxy.mend() },
	},
	"lock": {cause: (*incident).block, findings: []string{"problem database-locks"}, says: []string{"pg_terminate_backend("},
		mend: func(n *incident) {
			n.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'
				AND datname = current_database()`)
		}},
	"records-disagree": {
		cause: func(n *incident) {
			n.host.stop()
			n.exec(`UPDATE booking_platform.schema_versions SET version = version - 1 WHERE set_name = 'booking'`)
		},
		look: (*incident).start, findings: []string{"problem schema"}, says: []string{`"Migration fails"`},
	},
	"constraint": {
		cause: func(n *incident) {
			n.exec(`ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`)
			require.Equal(n.t, http.StatusServiceUnavailable, n.get("/health/db", ""))
		},
		look: lines(`"msg":"not ready"`), findings: []string{"problem schema-constraint"}, says: []string{"Stop the hosts"},
	},

	// Stripe, and the way to it.
	"proxy": {
		cause: func(*incident) {},
		look: func(n *incident) string {
			p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadGateway)
			}))
			n.t.Cleanup(p.Close)
			return n.doctor("--base", p.URL)
		}, says: []string{"/health answers 502 instead of 200"},
	},
	"certificate": {
		cause: func(*incident) {},
		look:  func(n *incident) string { return n.doctor("--base", expiredTLS(n.t)) },
		says:  []string{"certificate has expired", "the certificate."},
	},
	"https-proxy": {
		cause: func(n *incident) {
			delete(n.env, "STRIPE_API_BASE")
			n.env["HTTPS_PROXY"] = "http://127.0.0.1:" + aPort(n.t)
			n.restart()
			n.refused("payment_unavailable")
		}, look: lines("could not create the Checkout Session"), findings: []string{"problem stripe"},
		says: []string{"proxyconnect", "Correct HTTPS_PROXY"},
	},
	"stripe-tls": {
		cause: func(n *incident) {
			n.env["STRIPE_API_BASE"] = expiredTLS(n.t)
			n.restart()
			n.refused("payment_unavailable")
		}, look: lines("could not create the Checkout Session"), findings: []string{"problem stripe"},
		says: []string{"certificate", `"Stripe does not answer"`},
	},
	"stripe-down": {
		cause: func(n *incident) {
			n.stripe.Fault(func(*http.Request) bool { return true }, stripetest.FailBefore, 1000)
			n.refused("payment_unavailable")
		}, findings: []string{"problem stripe"}, says: []string{"status.stripe.com"},
	},
	"stripe-key": {
		cause: func(n *incident) {
			n.env["STRIPE_SECRET_KEY"] = "sk_test_" + rand.Text()
			n.restart()
			n.refused("payment_refused")
		}, look: lines("will be refused too"), findings: []string{"problem stripe"},
		says: []string{`"stripe_status":401`, "Copy the key from Stripe's dashboard again"},
	},
	"webhook-secret": {
		cause: func(n *incident) {
			n.env["STRIPE_WEBHOOK_SECRET"] = "whsec_" + rand.Text() + rand.Text()
			n.restart()
			n.unpaid()
		}, look: lines(`"reason":"signature_wrong"`), findings: []string{"problem deliveries"},
		says: []string{"Copy the endpoint's signing secret", `"Invalid signatures"`},
	},
	// The machine's clock cannot be set here: Stripe's is ten minutes ahead instead.
	"clock": {
		cause: func(n *incident) {
			b := n.book()
			n.stripe.goAhead(10 * time.Minute)
			go func() { _, _ = n.stripe.Pay(n.t.Context(), b.StripeSessionID) }()
		},
		look: lines(`"reason":"timestamp_in_future"`), findings: []string{"problem stripe-clock", "warning deliveries"},
		says: []string{"Synchronise the clock by NTP", `"Clock"`},
	},

	// Events, payments and refunds.
	"event-fails": {cause: situations["webhook-retries"].before[0], findings: []string{"warning deliveries"},
		says: []string{`"Webhook retries"`}},
	"unmatched": {
		cause: func(n *incident) {
			situations["unmatched-event"].before[0](n)
			n.exec(`UPDATE booking_platform.payment_events SET received_at = received_at - interval '10 minutes'`)
		},
		findings: []string{"warning events-waiting"}, says: []string{`"Unmatched event"`},
	},
	"parked": {cause: situations["parked-payment"].before[0], findings: []string{"warning payments-parked"},
		says: []string{"host payment refund"}},
	"disputed": {cause: situations["disputed-payment"].before[0], findings: []string{"warning payments-disputed"},
		says: []string{"Answer in Stripe's dashboard"}},
	"refund-refused": {stripe: situations["stuck-refund"].stripe, cause: situations["stuck-refund"].before[0],
		findings: []string{"problem refunds-failed"}, says: []string{"host payment retry"}},
	"refund-by-hand": {
		cause: deskRefund, findings: []string{"warning refunds-stuck"}, says: []string{"host payment desk-refunded"},
		mend: func(n *incident) { n.command("", "payment", "desk-refunded", n.names["REFUND"]) },
	},
	"refunded-twice": {
		cause: func(n *incident) {
			situations["stuck-refund"].before[0](n)
			n.command("", "payment", "settle", "--cause", "bank transfer 42", n.names["REFUND"])
			_, err := n.stripe.RefundFromDashboard(n.paid.StripeSessionID, 2500)
			require.NoError(n.t, err)
			require.NoError(n.t, n.stripe.WaitDelivered(n.t.Context()))
		}, stripe: situations["stuck-refund"].stripe,
		findings: []string{"warning refunds-twice"}, says: []string{"host payment show"},
	},
}

func deskRefund(n *incident) {
	desk := situations["payment-at-the-desk"]
	desk.before[0](n)
	n.command("", "booking", "add", "--resource", "studio", "--start", n.names["START"], "--first-name", "Ada",
		"--last-name", "Lovelace", "--email", "ada@example.com", "--desk", "cash")
	desk.before[1](n)
}
