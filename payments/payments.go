package payments

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/refund"
	"golang.org/x/sync/singleflight"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Errors, for errors.Is.
var (
	// ErrUnavailable means that Stripe could not be reached, did not answer in time, or
	// cannot serve the call now. Repeat the call: the idempotency key makes sure that it
	// creates one session at most. Stripe's answer, if any, is a *stripe.Error for
	// errors.As.
	ErrUnavailable = errors.New("payment service unavailable")
	// ErrRefused means that Stripe refused to create a Checkout Session and will refuse
	// it again until an operator corrects the cause, such as an amount below Stripe's
	// minimum or a wrong key. Stripe's answer is a *stripe.Error for errors.As. An
	// [ErrParameter] is one too.
	ErrRefused  = errors.New("payment service refused the call")
	ErrNotFound = errors.New("payment not found")
	// ErrNotPayable means that the booking is not a pending hold, or that its Checkout
	// Session is completed already.
	ErrNotPayable = errors.New("booking is not waiting for a payment")
)

// Options configure [Payments]. The zero value works.
type Options struct {
	// Logger receives messages for operators; nil discards them. They contain no keys and
	// no customer data.
	Logger *slog.Logger
	// BaseURL replaces the address of Stripe's API, for tests and the stand-in.
	BaseURL string
	// Account names the Stripe account of the key. Set it where services with different
	// accounts share a database; processes of one account use the same name. Background
	// steps, lists and counts cover the payments of their own account and mode (live or
	// test).
	Account string
	// MissingIsGone treats a session or PaymentIntent that Stripe does not know as gone.
	// It is for a stand-in that loses its state on restart, never for Stripe: a key of
	// another account or mode gets the same answer.
	MissingIsGone bool
	// HTTPClient makes the calls to Stripe; nil uses http.DefaultTransport. Timeout
	// applies in any case.
	HTTPClient *http.Client
	// Timeout limits a Checkout, and every other operation at Stripe with its one retry.
	// The default is 8 seconds.
	Timeout time.Duration
	// ProcessingHold is how long a hold is kept after its Checkout was completed with a
	// delayed payment method such as a bank debit, but not beyond the booking's start.
	// The default is 7 days.
	ProcessingHold time.Duration
	// ParkUnapplied parks money that came too late or twice for an operator. By default
	// it is refunded in full.
	ParkUnapplied bool
	// PersonalDataFor is how long after the end of its booking a settled payment keeps its
	// customer's data: [Payments.ErasePast], a step of [Payments.Run], erases older ones. 0
	// means for ever. Negative is an error.
	PersonalDataFor time.Duration
	// KeepRefunded keeps a future booking that was refunded in full at Stripe. By default
	// it is cancelled.
	KeepRefunded bool
	// OnTransition is called once for each [Transition] of a payment, in the transaction
	// that makes it, to write rows that belong to the change, such as an invoice or an
	// outgoing mail. An error rolls the change back: an event is answered 500 and sent
	// again, a step retries later, a call returns the error.
	//
	// The transaction may be rolled back and run again afterwards, so OnTransition must
	// not send anything itself. It may be called concurrently. The booking and its
	// payments are locked meanwhile, and a change takes eight more round trips. A booking
	// that costs nothing has no transitions: Checkout.Confirmed and Booked.Booking.Status
	// show that it is confirmed.
	OnTransition func(ctx context.Context, tx Tx, t Transition) error
	// OnPaidSQL does the work of OnTransition for the payments that [Payments.RegisterBatch]
	// settles, all of them [TransitionPaid] with a booking that is confirmed: it replaces the
	// calls of OnTransition for them, without a round trip. Without it, OnTransition makes
	// each of their events a transaction of its own.
	//
	// It is one INSERT without parameters that reads the table paid, one row for each
	// payment: payment_id and booking_id (uuid), event_id and actor (text), amount_minor
	// (bigint), currency (text) and at (timestamptz). The rules are those of
	// booking.Options.OnConfirmSQL, whose table confirmed it may join. It requires
	// OnTransition, which is called for all other changes.
	OnPaidSQL string
	// SuccessPath and CancelPath are where Stripe's page sends the customer, below appURL:
	// SuccessPath with the parameter session_id (or booking and token if nothing is to
	// pay), CancelPath with booking and session_id. They may have a query. The defaults are "/success"
	// and "/cancel".
	SuccessPath, CancelPath string
	// Texts returns what the customer reads on Stripe's page, for a new payment; nil
	// returns the defaults. It must not call anything over the network, and may be called
	// for a payment that exists already, whose texts stay. b has no owner token.
	Texts func(ctx context.Context, b booking.Booking, r booking.Resource) Texts
	// ShapeCheckout changes the parameters of a new payment's Checkout Session: an
	// existing customer, payment methods, automatic tax, an invoice, a Connect
	// destination, metadata, and so on. params has this package's parameters, Texts
	// included. The result is stored with the payment, and every call to Stripe sends
	// exactly that.
	//
	// What the guarantee needs must stay: the one line item with its amount, currency and
	// quantity, the mode, client_reference_id, this package's metadata, the account and
	// the idempotency key; success_url and cancel_url stay below appURL and keep
	// {CHECKOUT_SESSION_ID} and the booking's id. Refused are also parameters that change
	// the amount (discounts, promotion codes, shipping rates, optional items, tax rates),
	// manual capture, and those that Stripe adds later. The price includes taxes: with
	// automatic tax the amount stays. The error is [ErrParameter]; the booking's hold is
	// given up by Book. Stripe's checks of the values follow, with [ErrRefused].
	//
	// Refunds of a payment with a Connect destination reverse the transfer, and those of
	// one with an application fee refund the fee, in proportion. Direct charges, on a
	// connected account, are not supported.
	//
	// ShapeCheckout is called once for a payment, outside any transaction, and may use the
	// network. If the process ends before the result is stored, or if several replicas
	// create the payment at once, it is called more than once, and the result that is
	// stored first is used. It has half of the time of the Checkout, by ctx; if it does
	// not return in time, panics, or returns an error, that is [ErrUnavailable], unless
	// its error is an [ErrRefused]. With it, a Checkout takes one more round trip. b has
	// no owner token.
	ShapeCheckout func(ctx context.Context, b booking.Booking, params *stripe.CheckoutSessionParams) error
	// Admit is called by [Payments.Book] for each valid request before anything is held.
	// Its error, such as a [*RateLimitError], refuses the request. [Payments.Checkout] does
	// not call it.
	Admit func(ctx context.Context, req booking.HoldRequest) error
	// OnBook is called after each [Payments.Book] with its error and the [BookResult] of
	// it.
	OnBook func(ctx context.Context, result string, err error)
	// OnStep is called after each run of a step by [Payments.Run], possibly concurrently.
	// A run interrupted by the end of the context is not reported.
	OnStep func(step string, took time.Duration, items int, err error)
	// RequestID returns the id of the request of ctx. It is stored in the session's
	// metadata, to join webhook logs to that request. Over 500 characters, Stripe's
	// limit, it is left out.
	RequestID func(context.Context) string
}

// Payments creates Checkout Sessions and applies what Stripe reports. It is safe for
// concurrent use and on any number of replicas.
type Payments struct {
	db          *sql.DB
	bookings    *booking.Store
	sessions    session.Client
	intents     paymentintent.Client
	refundCalls refund.Client
	backoff     *backoffTransport
	refreshes   singleflight.Group
	backend     stripe.Backend
	key         string
	appURL      string
	account     string
	opts        Options
	log         *slog.Logger

	// fetchCursor is the last event read by FetchUndelivered; fetching guards it.
	fetching    sync.Mutex
	fetchCursor string

	past periodic.Walk

	// registered has the receivers given to Register as keys.
	registered sync.Map
}

// New returns Payments. db and bookings must use the same database and remain the
// caller's. secretKey is Stripe's (sk_… or rk_…). appURL is the public address of the
// service, such as https://example.com: customers return to appURL/success?session_id=…
// or appURL/cancel?booking=… (Options.SuccessPath and CancelPath). A missing or other key
// (pk_…, whsec_…) is an error, and so is an appURL that is not an absolute http(s) URL or
// has a query, or a path that does not begin with a slash.
func New(db *sql.DB, bookings *booking.Store, secretKey, appURL string, opts Options) (*Payments, error) {
	if db == nil || bookings == nil {
		return nil, errors.New("payments: a database and a booking store are required")
	}
	secretKey, err := checkKey(secretKey)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(appURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" ||
		u.Fragment != "" {
		return nil,
			errors.New("payments: appURL must be an absolute URL without a query, such as https://example.com")
	}
	opts.SuccessPath = cmp.Or(opts.SuccessPath, "/success")
	opts.CancelPath = cmp.Or(opts.CancelPath, "/cancel")
	for _, path := range []string{opts.SuccessPath, opts.CancelPath} {
		if _, err := url.Parse(path); err != nil || path[0] != '/' || strings.ContainsAny(path, "{}#") {
			return nil, fmt.Errorf("payments: %q is not a path such as /success", path)
		}
	}
	if opts.OnPaidSQL != "" && opts.OnTransition == nil {
		return nil, errors.New("payments: OnPaidSQL requires OnTransition")
	}
	if opts.PersonalDataFor < 0 {
		return nil, errors.New("payments: PersonalDataFor is negative")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 8 * time.Second
	}
	if opts.ProcessingHold <= 0 {
		opts.ProcessingHold = 7 * 24 * time.Hour
	}
	if opts.RequestID == nil {
		opts.RequestID = func(context.Context) string { return "" }
	}
	if opts.HTTPClient == nil {
		// Not the library's default client, which the whole program shares.
		opts.HTTPClient = &http.Client{Timeout: opts.Timeout}
	}
	transport := opts.HTTPClient.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	calls := &backoffTransport{next: transport}
	backend, err := newBackend(opts, calls)
	if err != nil {
		return nil, err
	}
	return &Payments{
		db:          db,
		bookings:    bookings,
		sessions:    session.Client{B: backend, Key: secretKey},
		intents:     paymentintent.Client{B: backend, Key: secretKey},
		refundCalls: refund.Client{B: backend, Key: secretKey},
		backoff:     calls,
		backend:     backend,
		key:         secretKey,
		account:     accountOf(opts.Account, secretKey),
		appURL:      strings.TrimRight(appURL, "/"),
		opts:        opts,
		log:         opts.Logger,
	}, nil
}

// read runs one read-only statement; see [pg.Read]. One round trip.
func (p *Payments) read(ctx context.Context, what string, statement func(booking.Querier) error) error {
	_, err := pg.Read(ctx, p.db, func(_ context.Context, q pg.Querier) (struct{}, error) {
		return struct{}{}, statement(q)
	})
	return wrap(ctx, what, err)
}

// queryPayment runs one statement that returns a payment, or sql.ErrNoRows; see
// [pg.Autocommit]. One round trip.
func (p *Payments) queryPayment(ctx context.Context, what, query string, args ...any) (Payment, error) {
	pay, err := pg.Autocommit(ctx, p.db, func(ctx context.Context, q pg.Querier) (Payment, error) {
		return scanPayment(q.QueryRowContext(ctx, query, args...))
	})
	return pay, wrap(ctx, what, err)
}

// inTx runs f in a transaction.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, pg.InTx(ctx, p.db, f))
}

// inTxRetry is inTx, retried while Postgres aborts it in favour of another transaction.
func (p *Payments) inTxRetry(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, pg.InTxRetry(ctx, p.db, booking.IsRetryable, f))
}

// wrap prefixes a database error. A driver may report a cancelled statement with its own
// error (lib/pq: SQLSTATE 57014), so wrap adds the context's.
func wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("payments: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("payments: %s: %w", what, err)
}
