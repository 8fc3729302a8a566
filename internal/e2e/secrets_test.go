package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// No secret is in the output of the host and its commands, whatever is requested and
// whatever fails; and each line of the log is JSON that names its request.
func TestHost_NoSecretInLogs(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	admin := f.loggingIn()
	paid := f.customers(admin)
	f.badDeliveries()
	failures := f.stripeFailures(admin, paid)
	troubles := f.databaseFailures(admin)
	f.commands()
	f.host.stop()

	log := f.host.logs()
	require.Empty(t, f.in(log), "in the log")
	// Commands are for operators: they may print Checkout Sessions.
	for what := range f.values {
		if strings.HasPrefix(what, "Checkout Session") {
			delete(f.values, what)
		}
	}
	require.Empty(t, f.in(f.said.String()), "in what the commands write:\n"+f.said.String())

	lines := parse(t, log)
	for _, l := range lines {
		if l.text("msg") == "request" || ofRequest[l.text("msg")] {
			require.NotEmpty(t, l.text("request_id"), l)
		}
		if strings.Contains(l.text("error"), "pq: ") {
			require.NotEmpty(t, l.text("sqlstate"), l)
		}
	}
	for id, want := range failures {
		require.Contains(t, lines.of(id), want, "%s of request %s", want, id)
	}
	for id, want := range troubles {
		said := lines.where("request_id", id).where("msg", want.message)
		require.Len(t, said, 1, "%s of request %s", want.message, id)
		require.Equal(t, want.sqlstate, said[0]["sqlstate"], "%s of request %s", want.message, id)
	}
	require.Len(t, troubles, 16)
	// The refund's events, which name the booking too, arrive when the host has asked for
	// it again.
	webhooks := lines.where("booking_id", paid.ID).where("outcome", "processed").where("msg", "webhook delivery").
		where("event_type", "checkout.session.completed")
	require.Len(t, webhooks, 1)
	require.Equal(t, paid.request, webhooks[0].text("origin_request_id"))
	require.NotEqual(t, paid.request, webhooks[0].text("request_id"), "it has one of its own")
	session, err := f.stripe.Session(paid.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, paid.request, session.Metadata["request_id"])
	require.NotEmpty(t, lines.where("outcome", "failed").where("sqlstate", "P0001").where("msg", "webhook delivery"))
	require.NotEmpty(t, lines.where("secret_position", "2"), "an event that the old secret signed")
}

// ofRequest are the lines that only a request can have.
var ofRequest = map[string]bool{"request failed": true, "page failed": true, "login not checked": true,
	"session not checked": true, "webhook delivery": true,
	"login refused": true, "logged in": true, "not ready": true,
	"refresh of a Checkout Session failed": true}
