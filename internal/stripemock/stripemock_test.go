package stripemock_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"

	"github.com/booking-platform/booking-platform/internal/stripemock"
)

func TestStart_RefusesUnknownParameters(t *testing.T) {
	t.Parallel()
	sessions := session.Client{Key: stripemock.Key,
		B: stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
			URL:           stripe.String(stripemock.Start(t)),
			LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		})}

	params := &stripe.CheckoutSessionParams{Mode: stripe.String("payment"),
		SuccessURL: stripe.String("https://example.com/done")}
	s, err := sessions.New(params)
	require.NoError(t, err)
	require.Equal(t, "checkout.session", s.Object)

	params.AddExtra("no_such_parameter", "1")
	_, err = sessions.New(params)
	var refused *stripe.Error
	require.True(t, errors.As(err, &refused), "%v", err)
	require.Equal(t, 400, refused.HTTPStatusCode)
	require.Contains(t, refused.Msg, "additional properties are not allowed")
	require.Contains(t, stripemock.Description(t).Components.Schemas, "checkout.session")
}
