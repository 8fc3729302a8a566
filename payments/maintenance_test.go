package payments_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// At once: here a refund is made.
func TestRun_EveryStep(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	errs, items := map[string]error{}, map[string]int{}
	all := make(chan struct{})
	w := newWorld(t, setup{opts: payments.Options{OnStep: func(step string, _ time.Duration, n int, err error) {
		mu.Lock()
		defer mu.Unlock()
		_, seen := errs[step]
		errs[step], items[step] = err, items[step]+n
		if !seen && len(errs) == len(payments.Steps()) {
			close(all)
		}
	}}})
	_, p := w.paid(0)
	w.refund(p, 1000, "case 1")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.payments.Run(ctx, w.receiver) }()
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		require.Fail(t, "a step did not run")
	}
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, payments.Steps(), slices.Sorted(maps.Keys(errs)))
	for step, err := range errs {
		require.NoError(t, err, step)
	}
	require.Equal(t, 1, items["payments.SettleRefunds"])
	require.Equal(t, stripetest.Money{Captured: price, Refunded: 1000}, w.stripe.Balance()["eur"])
}

func TestRun_RequiresReceiver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	require.Error(t, w.payments.Run(t.Context(), nil))
	other, err := webhook.New(w.db, []string{stripetest.WebhookSecret}, webhook.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.ErrorContains(t, w.payments.Run(ctx, other), "given to Register", "its events would have no handler")
}

// The package's documentation has every step, and there is an example of each.
func TestSteps_DocumentedWithExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	examples, err := os.ReadFile("example_steps_test.go")
	require.NoError(t, err)
	for _, step := range payments.Steps() {
		name := strings.TrimPrefix(step, "payments.")
		require.Contains(t, string(doc), "p."+name+"(ctx", step)
		require.Contains(t, string(examples), "func ExamplePayments_"+name+"()", step)
	}
}
