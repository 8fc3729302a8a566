package stripetest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func creations(r *http.Request) bool {
	return r.Method == "POST" && r.URL.Path == "/v1/checkout/sessions"
}

// Each fires once, with or without its effect; a repeat with the key then creates the one
// session, except after a stored 500.
func TestFault_Kinds(t *testing.T) {
	t.Parallel()
	status := func(code int) func(*testing.T, error) {
		return func(t *testing.T, err error) { require.Equal(t, code, stripeError(t, err).HTTPStatusCode) }
	}
	cut := func(t *testing.T, err error) { require.ErrorIs(t, err, syscall.ECONNRESET) }
	for kind, c := range map[stripetest.FaultKind]struct {
		effect, stuck bool
		failed        func(*testing.T, error)
	}{
		stripetest.FailBefore:  {false, true, status(500)},
		stripetest.FailAfter:   {true, false, status(500)},
		stripetest.ResetBefore: {false, false, cut},
		stripetest.ResetAfter:  {true, false, cut},
		stripetest.TooMany:     {false, false, status(429)},
		stripetest.NotFound:    {false, false, status(404)},
		stripetest.BadGateway: {false, false, func(t *testing.T, err error) {
			var e *stripe.Error
			require.False(t, errors.As(err, &e), "a page of HTML is no error of Stripe's")
			require.Error(t, err)
		}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := start(t, stripetest.Options{})
			f := s.Fault(creations, kind, 1)
			_, err := s.sessions.New(keyed("k"))
			c.failed(t, err)
			require.Equal(t, 1, f.Fired())
			require.Equal(t, c.effect, len(s.Sessions()) == 1)
			again, err := s.sessions.New(keyed("k"))
			require.Equal(t, 1, f.Fired())
			if c.stuck {
				require.Equal(t, "true", stripeError(t, err).LastResponse.Header.Get("Idempotent-Replayed"))
				s.Advance(25 * time.Hour)
				again, err = s.sessions.New(keyed("k"))
			}
			require.NoError(t, err)
			require.Len(t, s.Sessions(), 1)
			require.Equal(t, s.Sessions()[0].ID, again.ID)
		})
	}
}

func TestFault_TooManyHasRetryAfter(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.Fault(nil, stripetest.TooMany, 1)
	_, err := s.sessions.New(order())
	refused := stripeError(t, err)
	require.Equal(t, stripe.ErrorCodeRateLimit, refused.Code)
	require.Equal(t, "3", refused.LastResponse.Header.Get("Retry-After"))
}

func TestFault_HangContinuesAfterRelease(t *testing.T) {
	t.Parallel()
	for _, kind := range []stripetest.FaultKind{stripetest.HangBefore, stripetest.HangAfter} {
		s := start(t, stripetest.Options{})
		f := s.Fault(creations, kind, 3)
		answered := make(chan error, 1)
		go func() { answered <- get1(s.sessions.New(order())) }()
		require.NoError(t, f.Wait(within(t), 1))
		if kind == stripetest.HangBefore {
			require.Empty(t, s.Sessions())
		}
		require.Empty(t, answered)

		f.Release()
		require.NoError(t, <-answered)
		require.NoError(t, get1(s.sessions.New(order())), "it fires no more")
		require.Equal(t, 1, f.Fired())
		require.Len(t, s.Sessions(), 2)
	}
}

// Closing the web server waits until the stand-in has noticed the disconnect.
func TestFault_HangEndsWithClient(t *testing.T) {
	t.Parallel()
	for kind, effect := range map[stripetest.FaultKind]int{stripetest.HangBefore: 0, stripetest.HangAfter: 1} {
		server, err := stripetest.New(stripetest.Options{SecretKey: secretKey})
		require.NoError(t, err)
		web := httptest.NewServer(server)
		f := server.Fault(nil, kind, 1)
		ctx, giveUp := context.WithCancel(context.Background())
		params := order()
		params.Context = ctx
		gone := make(chan error, 1)
		go func() { gone <- get1(client(web.URL, secretKey).New(params)) }()
		require.NoError(t, f.Wait(within(t), 1))
		giveUp()
		require.ErrorIs(t, <-gone, context.Canceled)
		web.Close()
		require.Len(t, server.Sessions(), effect)
	}
}

// M2: The call takes effect although its client disconnected; a repeat with its key is a
// 409 until then, and gets the stored response afterwards.
func TestFault_HangDuringKeepsKeyInUse(t *testing.T) {
	t.Parallel()
	for given, answered := range map[string]string{"": "invalid_request_error",
		"idempotency_error": "idempotency_error"} {
		s := start(t, stripetest.Options{KeyInUseType: given})
		f := s.Fault(creations, stripetest.HangDuring, 1)
		t.Cleanup(f.Release)
		ctx, giveUp := context.WithCancel(t.Context())
		params := keyed("k")
		params.Context = ctx
		gone := make(chan error, 1)
		go func() { gone <- get1(s.sessions.New(params)) }()
		require.NoError(t, f.Wait(within(t), 1))
		giveUp()
		require.ErrorIs(t, <-gone, context.Canceled)
		_, err := s.sessions.New(keyed("k"))
		refused := stripeError(t, err)
		require.Equal(t, http.StatusConflict, refused.HTTPStatusCode)
		require.Equal(t, stripe.ErrorCodeIdempotencyKeyInUse, refused.Code)
		require.Equal(t, answered, string(refused.Type))
		require.Empty(t, s.Sessions())

		f.Release()
		require.Eventually(t, func() bool { return len(s.Sessions()) == 1 }, 10*time.Second, time.Millisecond)
		require.Eventually(t, func() bool {
			again, err := s.sessions.New(keyed("k"))
			return err == nil && again.ID == s.Sessions()[0].ID
		}, 10*time.Second, time.Millisecond)
		require.Len(t, s.Sessions(), 1)
	}
	_, err := stripetest.New(stripetest.Options{SecretKey: secretKey, KeyInUseType: "api_error"})
	require.Error(t, err)
}

// M2: A key in use without another call, with either error type.
func TestFault_KeyInUse(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{KeyInUseType: "idempotency_error"})
	// The library repeats the call once.
	f := s.Fault(creations, stripetest.KeyInUse, 2)
	_, err := s.sessions.New(keyed("k"))
	refused := stripeError(t, err)
	require.Equal(t, http.StatusConflict, refused.HTTPStatusCode)
	require.Equal(t, stripe.ErrorTypeIdempotency, refused.Type)
	require.Positive(t, f.Fired())
	f.Release()
	require.NoError(t, get1(s.sessions.New(keyed("k"))))
	require.Len(t, s.Sessions(), 1)
}

func TestFault_OrderAndCount(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	first, second := s.Fault(creations, stripetest.FailAfter, 2), s.Fault(nil, stripetest.BadGateway, 1)
	_ = s.sessions.List(nil).Next()
	require.Zero(t, first.Fired(), "another call")
	require.Equal(t, 1, second.Fired())
	for range 3 {
		_, _ = s.sessions.New(order())
	}
	require.Equal(t, 2, first.Fired())
	require.Equal(t, 1, second.Fired())
	require.Len(t, s.Sessions(), 3)
	soon, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, first.Wait(soon, 3), context.Canceled)
	require.Panics(t, func() { s.Fault(nil, stripetest.FailAfter, 0) })

	// The pay page is not an API call.
	s.Fault(nil, stripetest.FailBefore, 1)
	require.False(t, strings.Contains(read(t, get(t, s.Sessions()[0].URL)), "fault"))
}
