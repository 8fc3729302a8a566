package payments

import (
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
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Errors of this package, found with errors.Is.
var (
	// ErrUnavailable means that Stripe could not be asked, did not answer in time, or
	// cannot serve the call now. The same call may be made again: it sends the same bytes
	// under the same key, so that a session which Stripe has made all the same is found,
	// and moves to another key where Stripe says that this one brings nothing any more.
	// What Stripe answered, if it did, is a *stripe.Error for errors.As.
	ErrUnavailable = errors.New("payment service unavailable")
	// ErrRefused means that Stripe refused to make a Checkout Session and will refuse it
	// again, until an operator mends what it names: an amount below Stripe's least, a
	// currency it does not know, a wrong key. Its answer is a *stripe.Error for
	// errors.As.
	ErrRefused = errors.New("payment service refused the call")
	// ErrNotFound means that there is no such payment.
	ErrNotFound = errors.New("payment not found")
	// ErrNotPayable means that the booking is not a hold that waits for its payment: it
	// was cancelled, is confirmed, or the customer has completed a Checkout Session whose
	// money is on its way or waits for a person.
	ErrNotPayable = errors.New("booking is not waiting for a payment")
)

// Options tune Payments; the zero value works.
type Options struct {
	// Logger receives what operators need to know; nil discards it. Keys and customers'
	// data are never logged.
	Logger *slog.Logger
	// BaseURL is another address of Stripe's API, for tests and the stand-in; "" is
	// Stripe itself.
	BaseURL string
	// Account names the Stripe account of the key, where two services with an account
	// each share a database; with the key's mode (live or test) it is whose a payment is.
	// Background steps take the payments of their own account, lists and counts tell of
	// those. "" suits a database with one account. Keys of one account and mode need the
	// same name.
	Account string
	// MissingIsGone takes a session or a PaymentIntent that Stripe does not know for one
	// that is gone for good. It is for a stand-in that forgets when it is restarted, and
	// never for Stripe: there a key of another account or mode has the same answer.
	MissingIsGone bool
	// HTTPClient makes the calls, which end with Timeout whatever it allows; nil is one
	// with http.DefaultTransport.
	HTTPClient *http.Client
	// Timeout bounds a Checkout, its statements and its call to Stripe together, and each
	// other operation at Stripe, the library's single retry included; 0 is 8 seconds.
	Timeout time.Duration
	// ProcessingHold is how long a hold is kept for a delayed payment method (a bank
	// debit) whose Checkout is completed but unpaid, counted from when that event is
	// handled; never beyond the start of the booking. 0 is 7 days.
	ProcessingHold time.Duration
	// ParkUnapplied parks money that cannot be applied, because it came too late or
	// twice, for a person to decide. Without it the money goes back in full.
	ParkUnapplied bool
	// KeepRefunded lets a booking stand that was refunded in full at Stripe, by hand;
	// without it the booking is cancelled, if it lies ahead.
	KeepRefunded bool
	// OnTransition is called for each thing that happens to a payment (paid, refunded,
	// disputed, ...: see [Transition]), once, in the transaction that makes it, whichever
	// way that came: an event, what Stripe answered, a step, a call of this package. It
	// writes what belongs to it, the row of an invoice or of a mail that is to go out;
	// the row is there if and only if the change is. Its error rolls both back: an event
	// is then answered 500 and sent again, a step makes the change the next time, a call
	// returns the error.
	//
	// The transaction may still be rolled back, and run again, after it returned: it
	// sends nothing itself, no mail and no request; who reads the rows after the commit
	// does. The booking and its payments are locked meanwhile, so it is short, and takes
	// no lock that is held elsewhere while one of these is waited for. It may be called
	// by many goroutines at once. With it, a change takes eight round trips more. nil is
	// none. A booking that costs nothing has no payment: nothing is told of it.
	OnTransition func(ctx context.Context, tx Tx, t Transition) error
	// Admit is called by [Payments.Book] for each valid request, before anything is held.
	// An error refuses the request and is returned by Book. It is the place for a rate
	// limit, whose error should be a [*RateLimitError]. nil admits every request.
	Admit func(ctx context.Context, req booking.HoldRequest) error
	// OnBook is called after each [Payments.Book] with its error and the [BookResult] of
	// that. It should return at once; nil is none.
	OnBook func(ctx context.Context, result string, err error)
	// OnStep is called after each run of a step by [Payments.Run]: how long it took, how
	// many items it processed and why it failed. A run that the end of the context
	// interrupted is not reported. It may be called concurrently; nil is none.
	OnStep func(step string, took time.Duration, items int, err error)
	// RequestID gives the id of the request that a context belongs to; it goes into the
	// session's metadata, so that the webhook's log line can be joined to the request
	// that began it. nil leaves it out, and so does what is longer than the 500
	// characters that Stripe takes.
	RequestID func(context.Context) string
}

// Payments creates Checkout Sessions and applies what Stripe says of them. It is safe for
// concurrent use, and on any number of replicas at once.
type Payments struct {
	db       *sql.DB
	bookings *booking.Store
	sessions session.Client
	intents  paymentintent.Client
	// refundCalls are calls to Stripe; what is kept here of refunds is in refund.go.
	refundCalls refund.Client
	backoff     *backoffTransport
	refreshes   singleflight.Group
	backend     stripe.Backend
	key         string
	appURL      string
	account     string
	opts        Options
	log         *slog.Logger

	// takenTo is the event from which FetchUndelivered goes on; taking guards it.
	fetching    sync.Mutex
	fetchCursor string
}

// New makes Payments. db and bookings, which must be on the same database, stay the
// caller's. secretKey is Stripe's (sk_… or rk_…), and appURL the public address of the
// service, such as https://example.com: customers return to appURL/success?session_id=…
// or appURL/cancel?booking=…. It never comes from a request. An appURL that is no
// absolute http(s) URL or has a query is an error, and so is a missing key or one of
// another kind (pk_…, whsec_…); blanks around it are no part of it.
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
			errors.New("payments: the application's URL must be absolute and without a query, such as https://example.com")
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
		// The library's default is one that it shares with everything else in the
		// program.
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

// read runs one statement that changes nothing, see [pg.ReadAlone]. One round trip.
func (p *Payments) read(ctx context.Context, what string, statement func(booking.Querier) error) error {
	_, err := pg.ReadAlone(ctx, p.db, func(_ context.Context, q pg.Querier) (struct{}, error) {
		return struct{}{}, statement(q)
	})
	return wrap(ctx, what, err)
}

// queryPayment runs one statement that returns a payment; without one the error is
// sql.ErrNoRows. It commits by itself: one round trip, see [pg.WriteAlone].
func (p *Payments) queryPayment(ctx context.Context, what, query string, args ...any) (Payment, error) {
	pay, err := pg.WriteAlone(ctx, p.db, func(ctx context.Context, q pg.Querier) (Payment, error) {
		return scanPayment(q.QueryRowContext(ctx, query, args...))
	})
	return pay, wrap(ctx, what, err)
}

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, pg.InTx(ctx, p.db, f))
}

// inTxRetry is inTx, run again while Postgres refuses it in favour of another transaction.
func (p *Payments) inTxRetry(ctx context.Context, what string, f func(*sql.Tx) error) error {
	return wrap(ctx, what, pg.InTxRetry(ctx, p.db, booking.IsRetryable, f))
}

// wrap gives an error of the database's its one prefix. A driver may report a cancelled
// statement with an error of its own (lib/pq: SQLSTATE 57014), so the context's error is
// added where the driver left it out.
func wrap(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("payments: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("payments: %s: %w", what, err)
}
