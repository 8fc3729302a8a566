package payments_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// What an endpoint has to be subscribed to is what Register says in its comment, and what
// it registers.
func TestEventTypesAreThoseOfRegister(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("handlers.go")
	require.NoError(t, err)
	_, comment, _ := strings.Cut(string(source), "// Subscribe the endpoint at Stripe to these types: ")
	comment, _, found := strings.Cut(comment, ".\nfunc (p *Payments) Register(")
	require.True(t, found)
	told := strings.Split(strings.ReplaceAll(comment, "\n// ", " "), ", ")
	require.ElementsMatch(t, told, payments.EventTypes())
	w := newWorld(t, setup{})
	none := func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Processed, nil
	}
	for _, eventType := range payments.EventTypes() {
		require.PanicsWithValue(t, "webhook: a second handler for "+eventType,
			func() { w.receiver.Handle(eventType, none) })
	}
}
