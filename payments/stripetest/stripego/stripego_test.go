package stripego_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// receiver is a webhook on the newest stripe-go: it verifies and decodes each event.
type receiver struct {
	mu     sync.Mutex
	seen   map[stripe.EventType]any // the decoded objects, by type
	failed error
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = r.receive(body, req.Header.Get("Stripe-Signature"))
	}
	if err != nil {
		r.mu.Lock()
		r.failed = errors.Join(r.failed, err)
		r.mu.Unlock()
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (r *receiver) receive(body []byte, signature string) error {
	ev, err := webhook.ConstructEvent(body, signature, stripetest.WebhookSecret)
	if err != nil {
		return err
	}
	var object any
	switch name := ev.Data.Object["object"]; name {
	case "checkout.session":
		object = &stripe.CheckoutSession{}
	case "charge":
		object = &stripe.Charge{}
	case "payment_intent":
		object = &stripe.PaymentIntent{}
	case "refund":
		object = &stripe.Refund{}
	case "dispute":
		object = &stripe.Dispute{}
	default:
		return errors.New("an event about " + name.(string))
	}
	if err := json.Unmarshal(ev.Data.Raw, object); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[ev.Type] = object
	return nil
}

// types are those that the stand-in's source emits.
func types(t *testing.T) (list []string) {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	found := map[string]bool{}
	event := regexp.MustCompile(`"((?:checkout\.session|charge|payment_intent|refund)\.[a-z_.]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range event.FindAllStringSubmatch(string(source), -1) {
			found[m[1]] = true
		}
	}
	for name := range found {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

func params() *stripe.CheckoutSessionCreateParams {
	return &stripe.CheckoutSessionCreateParams{
		Mode:       stripe.String(stripe.CheckoutSessionModePayment),
		SuccessURL: stripe.String("https://shop.example/"), ClientReferenceID: stripe.String("order-7"),
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionCreateLineItemPriceDataParams{
				Currency: stripe.String("eur"), UnitAmount: stripe.Int64(1400),
				ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{Name: stripe.String("A mug")},
			},
		}},
	}
}

// Each passes the newest ConstructEvent and decodes into its type; the newest client
// reads what it expects.
func TestConstructEvent_EveryType(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	r := &receiver{seen: map[stripe.EventType]any{}}
	s := stripetest.Start(t, r, stripetest.Options{APIVersion: stripe.APIVersion, BankDebit: true})
	client := stripe.NewClient(stripetest.SecretKey, stripe.WithBackends(
		stripe.NewBackendsWithConfig(&stripe.BackendConfig{URL: stripe.String(s.URL())})))
	create := func() *stripe.CheckoutSession {
		t.Helper()
		sess, err := client.V1CheckoutSessions.Create(ctx, params())
		require.NoError(t, err)
		require.Equal(t, stripe.CheckoutSessionUIModeHostedPage, sess.UIMode)
		return sess
	}
	must := func(_ any, err error) { t.Helper(); require.NoError(t, err) }

	paid := create()
	must(s.Pay(ctx, paid.ID))
	s.MakeRefundsPending(2)
	for _, end := range []func(string) error{
		func(id string) error { _, err := s.SettleRefund(id); return err },
		func(id string) error { _, err := s.FailRefund(id, ""); return err },
	} {
		id, err := s.RefundFromDashboard(paid.ID, 100)
		require.NoError(t, err)
		require.NoError(t, end(id))
	}
	d, err := s.OpenDispute(paid.ID, stripetest.NewDispute{Inquiry: true})
	require.NoError(t, err)
	must(s.EscalateDispute(d.ID))
	must(s.CloseDispute(d.ID, true))
	for _, end := range []func(string) (stripetest.Session, error){s.SettlePayment, s.FailPayment} {
		delayed := create()
		must(s.PayDelayed(ctx, delayed.ID))
		must(end(delayed.ID))
	}
	must(s.Expire(create().ID))

	intent := func() *stripe.PaymentIntent {
		t.Helper()
		made, err := client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
			Amount: stripe.Int64(1400), Currency: stripe.String("eur")})
		require.NoError(t, err)
		require.Equal(t, stripe.PaymentIntentCaptureMethodAutomaticAsync, made.CaptureMethod)
		return made
	}
	must(s.PayIntent(ctx, intent().ID))
	must(s.PayIntentDelayed(ctx, intent().ID))
	require.NoError(t, s.DeclineIntent(intent().ID))
	require.NoError(t, s.CancelIntent(intent().ID))
	require.NoError(t, s.WaitDelivered(ctx))

	require.NoError(t, r.failed)
	var seen []string
	for name := range r.seen {
		seen = append(seen, string(name))
	}
	sort.Strings(seen)
	require.Equal(t, types(t), seen)
	for name, object := range r.seen {
		id := reflect.ValueOf(object).Elem().FieldByName("ID").String()
		require.NotEmpty(t, id, name)
	}
	sess := r.seen["checkout.session.completed"].(*stripe.CheckoutSession)
	require.Equal(t, "order-7", sess.ClientReferenceID)
	require.Equal(t, int64(1400), sess.AmountTotal)
	require.Equal(t, stripe.CheckoutSessionStatusComplete, sess.Status)
	require.Equal(t, stripe.RefundStatusFailed, r.seen["refund.failed"].(*stripe.Refund).Status)
	require.Equal(t, stripe.DisputeStatusWon, r.seen["charge.dispute.closed"].(*stripe.Dispute).Status)
}

// The newest ConstructEvent refuses the events, although their signatures are right: the
// reason for Options.APIVersion.
func TestConstructEvent_DefaultVersionRefused(t *testing.T) {
	t.Parallel()
	r := &receiver{seen: map[stripe.EventType]any{}}
	s := stripetest.Start(t, r, stripetest.Options{Backoff: []time.Duration{time.Hour}})
	client := stripe.NewClient(stripetest.SecretKey, stripe.WithBackends(
		stripe.NewBackendsWithConfig(&stripe.BackendConfig{URL: stripe.String(s.URL())})))
	sess, err := client.V1CheckoutSessions.Create(t.Context(), params())
	require.NoError(t, err)
	_, err = s.Pay(t.Context(), sess.ID)
	require.NoError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	require.ErrorContains(t, r.failed, "API version")
	require.Empty(t, r.seen)
}
