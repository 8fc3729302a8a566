package stripetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
)

func TestAPI_OtherKeysAreUnauthorized(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	_, err := client(s.url, "sk_test_another").New(order())
	refused := stripeError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.HTTPStatusCode)
	require.NotContains(t, refused.Msg, "another")

	for want, authorize := range map[int]func(*http.Request){
		http.StatusUnauthorized: func(*http.Request) {},
		http.StatusOK:           func(r *http.Request) { r.SetBasicAuth(secretKey, "") },
	} {
		req, err := http.NewRequest(http.MethodGet, s.url+"/v1/checkout/sessions", nil)
		require.NoError(t, err)
		authorize(req)
		require.Equal(t, want, do(t, req).StatusCode)
	}
	require.Empty(t, s.Sessions())
}

func TestAPI_ErrorsHaveStripesFormat(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"unknown route":  {"GET", "/v1/charges", "", "", 404},
		"unknown method": {"DELETE", "/v1/checkout/sessions", "", "", 404},
		"JSON":           {"POST", "/v1/checkout/sessions", "application/json", `{"mode":"payment"}`, 400},
		"bad escapes":    {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded", "mode=%zz", 400},
		"bad query":      {"GET", "/v1/checkout/sessions?a=%zz", "", "", 400},
		"huge": {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded",
			"mode=" + strings.Repeat("a", 2<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, s.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+secretKey)
			req.Header.Set("Content-Type", c.contentType)
			resp := do(t, req)
			require.Equal(t, c.status, resp.StatusCode)
			require.NotEmpty(t, resp.Header.Get("Request-Id"))
			var answer struct {
				Error struct{ Type, Message string }
			}
			require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &answer))
			require.Equal(t, "invalid_request_error", answer.Error.Type)
			require.NotEmpty(t, answer.Error.Message)
		})
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	return do(t, req)
}

// do does not follow redirects.
func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err, fmt.Sprint(req.URL))
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func keyed(key string) *stripe.CheckoutSessionParams {
	p := order()
	p.SetIdempotencyKey(key)
	return p
}

func TestIdempotency_SameKeyOneSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	first, err := s.sessions.New(keyed("payment-1/1"))
	require.NoError(t, err)
	require.Empty(t, first.LastResponse.Header.Get("Idempotent-Replayed"))
	require.Equal(t, "payment-1/1", first.LastResponse.IdempotencyKey)

	_, err = s.Pay(within(t), first.ID)
	require.NoError(t, err)
	again, err := s.sessions.New(keyed("payment-1/1"))
	require.NoError(t, err)
	require.Equal(t, "true", again.LastResponse.Header.Get("Idempotent-Replayed"))
	require.Equal(t, first.LastResponse.RequestID, again.LastResponse.Header.Get("Original-Request"))
	require.NotEqual(t, first.LastResponse.RequestID, again.LastResponse.RequestID)
	require.Equal(t, first.LastResponse.RawJSON, again.LastResponse.RawJSON,
		"the stored answer, not the session as it is now")
	require.Len(t, s.Sessions(), 1)

	other, err := s.sessions.New(keyed("payment-1/2"))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, other.ID)
}

func TestIdempotency_KeyOfOtherRequest(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	first, err := s.sessions.New(keyed("k"))
	require.NoError(t, err)

	dearer := keyed("k")
	dearer.LineItems[0].PriceData.UnitAmount = stripe.Int64(1251)
	_, err = s.sessions.New(dearer)
	refused := stripeError(t, err)
	require.Equal(t, http.StatusBadRequest, refused.HTTPStatusCode)
	require.Equal(t, stripe.ErrorTypeIdempotency, refused.Type)

	expire := &stripe.CheckoutSessionExpireParams{}
	expire.SetIdempotencyKey("k")
	_, err = s.sessions.Expire(first.ID, expire)
	require.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type)
	require.Len(t, s.Sessions(), 1)

	// Two calls without parameters, but for different sessions.
	second := s.create(t)
	expire.SetIdempotencyKey("e")
	_, err = s.sessions.Expire(first.ID, expire)
	require.NoError(t, err)
	_, err = s.sessions.Expire(second.ID, expire)
	require.Equal(t, stripe.ErrorTypeIdempotency, stripeError(t, err).Type)
	known, err := s.Session(second.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Open, known.Status)
}

func TestIdempotency_ParameterErrorIsNotStored(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	wrong := keyed("k")
	wrong.Mode = stripe.String("setup")
	_, err := s.sessions.New(wrong)
	require.Equal(t, "mode", stripeError(t, err).Param)
	_, err = s.sessions.New(keyed("k"))
	require.NoError(t, err)
}

func TestIdempotency_ExecutionErrorIsStored(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	_, err := s.Pay(within(t), sess.ID)
	require.NoError(t, err)
	for _, replayed := range []string{"", "true"} {
		expire := &stripe.CheckoutSessionExpireParams{}
		expire.SetIdempotencyKey("k")
		_, err = s.sessions.Expire(sess.ID, expire)
		require.Equal(t, replayed, stripeError(t, err).LastResponse.Header.Get("Idempotent-Replayed"))
	}
}

func TestIdempotency_KeysExpireAfterADay(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, stripetest.Options{Now: now.Now})
	first, err := s.sessions.New(keyed("k"))
	require.NoError(t, err)
	now.Add(24*time.Hour - time.Second)
	second, err := s.sessions.New(keyed("k"))
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	s.Advance(2 * time.Second)
	third, err := s.sessions.New(keyed("k"))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, third.ID)
}

func TestIdempotency_KeyTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	form := strings.NewReader("mode=payment")
	req, err := http.NewRequest(http.MethodPost, s.url+"/v1/checkout/sessions", form)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", strings.Repeat("k", 256))
	require.Equal(t, http.StatusBadRequest, do(t, req).StatusCode)
}

// A repeat during the first call is refused, and afterwards gets the stored response.
func TestIdempotency_RepeatDuringFirstCall(t *testing.T) {
	t.Parallel()
	reached, release := make(chan stripetest.Session), make(chan struct{})
	s := start(t, stripetest.Options{OnCreate: func(sess stripetest.Session) {
		reached <- sess
		<-release
	}})
	answered := make(chan string, 1)
	go func() {
		sess, err := s.sessions.New(keyed("k"))
		if err != nil {
			answered <- err.Error()
			return
		}
		answered <- sess.ID
	}()
	created := <-reached

	_, err := s.sessions.New(keyed("k"))
	refused := stripeError(t, err)
	require.Equal(t, http.StatusConflict, refused.HTTPStatusCode)
	require.Equal(t, stripe.ErrorCodeIdempotencyKeyInUse, refused.Code)

	close(release)
	require.Equal(t, created.ID, <-answered)
	again, err := s.sessions.New(keyed("k"))
	require.NoError(t, err)
	require.Equal(t, created.ID, again.ID)
}

// A panic in a test's hook must not leave the key in use.
func TestIdempotency_PanicFreesKey(t *testing.T) {
	t.Parallel()
	var once sync.Once
	s := start(t, stripetest.Options{OnCreate: func(stripetest.Session) {
		once.Do(func() { panic(http.ErrAbortHandler) })
	}})
	_, err := s.sessions.New(keyed("k"))
	require.Error(t, err)
	_, err = s.sessions.New(keyed("k"))
	require.NoError(t, err)
}

func TestIdempotency_ManyAtOnceOneSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() { _, _ = s.sessions.New(keyed("k")) })
	}
	clients.Wait()
	require.Len(t, s.Sessions(), 1)
}
