package webhook_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	db := noDatabase(t)
	for name, secrets := range map[string][]string{"none": nil, "empty": {""}, "blank": {" \t\n"},
		"one of two": {secret, " "}} {
		_, err := webhook.New(db, secrets, webhook.Options{})
		require.Error(t, err, name)
	}
	_, err := webhook.New(nil, []string{secret}, webhook.Options{})
	require.Error(t, err)
}

func TestHandle_Panics(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, noDatabase(t), webhook.Options{})
	require.Panics(t, func() { r.HandleOther(nil) })
	require.Panics(t, func() { r.Handle("*", effect) })
	require.Panics(t, func() { r.Handle("", effect) })
	require.Panics(t, func() { r.Handle("charge.refunded", nil) })
}

// For the race detector.
func TestHandle_WhileServing(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{})
	registered := make(chan struct{})
	go func() {
		defer close(registered)
		r.Handle(completed, failing(nil))
	}()
	require.Equal(t, 200, send(t, r, event("evt_1", completed)).Status)
	within(t, registered, "the registration")
}

func TestNew_UnknownMode(t *testing.T) {
	t.Parallel()
	_, err := webhook.New(noDatabase(t), []string{secret}, webhook.Options{Mode: "production"})
	require.ErrorContains(t, err, `no mode "production"`)
}
