package stripetest

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"strings"
)

// Pay pays a session by card, as its customer: the session is complete and Paid (or
// NothingToPay), and checkout.session.completed is sent. Without a customer_email the
// payer is customer@example.com.
//
// Pay returns after the event's first response, whatever its status, as Stripe's page
// does before it redirects, or after ten seconds with ErrNoAnswer, or with ctx's error:
// the session is then paid nevertheless. Other errors are ErrNotFound and ErrNotOpen; of
// concurrent calls for one session one succeeds.
func (s *Server) Pay(ctx context.Context, id string) (Session, error) {
	return s.pay(ctx, id, "", card)
}

func (s *Server) pay(ctx context.Context, id, email, method string) (Session, error) {
	s.lock()
	sess, err := s.open(id)
	if err != nil {
		defer s.mu.Unlock()
		if sess == nil {
			return Session{}, err
		}
		return sess.snapshot(), err
	}
	sess.Status = Complete
	sess.URL = ""
	sess.PaidByEmail = cmp.Or(sess.CustomerEmail, email, "customer@example.com")
	if sess.AmountTotal > 0 {
		charge := s.charge(sess, method)
		if method == card {
			s.capture(sess, charge)
		}
	}
	ev := s.emit("checkout.session.completed", sess.ID, sess.ID, sess, nil)
	paid := sess.snapshot()
	s.mu.Unlock()

	s.log.InfoContext(ctx, "stripetest: session complete", "session", id, "payment_status", paid.PaymentStatus, "event",
		ev.ID)
	if err := s.awaitFirstAnswer(ctx, ev); err != nil {
		return paid, fmt.Errorf("stripetest: wait for the first answer to %s: %w", ev.ID, err)
	}
	return paid, nil
}

// Decline is a declined card payment: the session stays open. It returns ErrNotFound or
// ErrNotOpen.
func (s *Server) Decline(id string) error {
	s.lock()
	defer s.mu.Unlock()
	_, err := s.open(id)
	return err
}

// Expire ends an open session, as the API's expire does: checkout.session.expired is
// sent, not waited for. It returns ErrNotFound, or the session and ErrNotOpen.
func (s *Server) Expire(id string) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, err := s.open(id)
	if sess == nil {
		return Session{}, err
	}
	if err == nil {
		s.expire(sess, nil)
	}
	return sess.snapshot(), err
}

// open also returns a session with ErrNotOpen. Callers hold s.mu.
func (s *Server) open(id string) (*Session, error) {
	sess, ok := s.sessions[id]
	if !ok {
		return nil, ErrNotFound
	}
	if sess.Status != Open {
		return sess, ErrNotOpen
	}
	return sess, nil
}

// c is the call that asked for it, or nil. Callers hold s.mu.
func (s *Server) expire(sess *Session, c *call) {
	sess.Status = Expired
	sess.URL = ""
	s.emit("checkout.session.expired", sess.ID, sess.ID, sess, c)
}

// PayDelayed pays by bank debit: the session is complete but unpaid, its charge pending,
// and checkout.session.completed is sent. SettlePayment or FailPayment ends it. It waits
// and fails like Pay; a total of zero needs no payment.
func (s *Server) PayDelayed(ctx context.Context, id string) (Session, error) {
	return s.pay(ctx, id, "", bankDebit)
}

// SettlePayment completes a delayed payment: the session is paid, and
// checkout.session.async_payment_succeeded is sent, not waited for. It returns
// ErrNotFound, or the session and ErrNotPending.
func (s *Server) SettlePayment(id string) (Session, error) {
	return s.endDelayed(id, "checkout.session.async_payment_succeeded", s.capture)
}

// FailPayment fails a delayed payment: the session stays complete and unpaid, and
// checkout.session.async_payment_failed is sent, not waited for. Errors are those of
// SettlePayment.
func (s *Server) FailPayment(id string) (Session, error) {
	return s.endDelayed(id, "checkout.session.async_payment_failed", func(_ *Session, charge *Charge) {
		const code = "payment_method_provider_decline"
		s.fail(charge, code, bankRefused)
	})
}

func (s *Server) endDelayed(id, event string, end func(*Session, *Charge)) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[id]
	if !ok {
		return Session{}, ErrNotFound
	}
	charge, err := s.chargeOf(id)
	if err != nil || charge.Status != ChargePending {
		return sess.snapshot(), ErrNotPending
	}
	end(sess, charge)
	s.emit(event, sess.ID, sess.ID, sess, nil)
	return sess.snapshot(), nil
}

// Payment methods, by Stripe's names.
const (
	card      = "card"
	bankDebit = "sepa_debit"
)

// charge creates the pending payment intent and charge of a session. Callers hold s.mu.
func (s *Server) charge(sess *Session, method string) *Charge {
	intent := &PaymentIntent{
		ID:                 newID("pi_3", 23),
		SessionID:          sess.ID,
		Amount:             sess.AmountTotal,
		Currency:           sess.Currency,
		Status:             IntentProcessing,
		Metadata:           maps.Clone(sess.PaymentIntentMetadata),
		CreatedAt:          s.now().UTC(),
		paymentMethodTypes: []string{method},
		captureMethod:      sess.captureMethod,
	}
	sess.PaymentIntentID = intent.ID
	s.intents.add(intent.ID, intent, s.keep)
	s.emitOfSession("payment_intent.created", intent)
	return s.attempt(intent, sess.PaidByEmail, method)
}

// attempt creates a pending charge, the intent's latest. Callers hold s.mu.
func (s *Server) attempt(intent *PaymentIntent, email, method string) *Charge {
	charge := &Charge{
		ID:              newID("ch_3", 23),
		PaymentIntentID: intent.ID,
		SessionID:       intent.SessionID,
		Amount:          intent.Amount,
		Currency:        intent.Currency,
		Status:          ChargePending,
		Metadata:        maps.Clone(intent.Metadata), // Stripe copies it once
		CreatedAt:       s.now().UTC(),
		email:           email,
		method:          method,
	}
	intent.ChargeID, intent.Status, intent.failure = charge.ID, IntentProcessing, nil
	s.charges.add(charge.ID, charge, s.keep)
	return charge
}

// Callers hold s.mu.
func (s *Server) capture(sess *Session, charge *Charge) {
	sess.PaymentStatus = Paid
	if intent := s.succeed(charge); intent != nil {
		s.emitOfSession("payment_intent.succeeded", intent)
	}
}

// Callers hold s.mu.
func (s *Server) succeed(charge *Charge) *PaymentIntent {
	charge.Status = ChargeSucceeded
	s.book(charge.Currency, func(m *Money) { m.Captured += charge.Amount })
	intent := s.intents.byID[charge.PaymentIntentID]
	if intent != nil {
		intent.Status = IntentSucceeded
	}
	return intent
}

const (
	bankRefused = "The bank refused the debit."
	declined    = "Your card was declined."
)

// fail leaves a payment intent that can be paid again. Callers hold s.mu.
func (s *Server) fail(charge *Charge, code, message string) *PaymentIntent {
	charge.Status, charge.failure, charge.message = ChargeFailed, code, message
	intent := s.intents.byID[charge.PaymentIntentID]
	if intent != nil {
		intent.Status = IntentRequiresPaymentMethod
		intent.failure = charge
	}
	return intent
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageView is the data of a template that escapes it.
type pageView struct {
	Session
	Lines   []pageLine
	Total   string
	Until   string
	Debit   bool   // a bank debit is offered
	Back    string // to the shop, if the session is no longer open
	Message string
}

type pageLine struct {
	LineItem
	Each, Total string
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request) {
	sess, err := s.Session(r.PathValue("id"))
	if err != nil {
		noPage(w)
		return
	}
	s.writePage(w, http.StatusOK, sess, "")
}

func (s *Server) usePage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	sess, err := s.Session(r.PathValue("id"))
	if err != nil {
		noPage(w)
		return
	}
	const closed = "Nothing was done: this session is no longer open."
	debit := s.opts.BankDebit && sess.AmountTotal > 0
	switch action := r.PostFormValue("action"); {
	case action == "pay", action == "debit" && debit:
		method := card
		if action == "debit" {
			method = bankDebit
		}
		// The customer is redirected whatever the webhook answered.
		paid, err := s.pay(r.Context(), sess.ID, r.PostFormValue("email"), method)
		if errors.Is(err, ErrNotOpen) {
			s.writePage(w, http.StatusConflict, paid, closed)
			return
		}
		redirect(w, paid.successURL())
	case action == "decline":
		if s.Decline(sess.ID) != nil {
			s.writePage(w, http.StatusConflict, sess, closed)
			return
		}
		s.writePage(w, http.StatusPaymentRequired, sess, "The card was declined. Nothing was paid; you can try again.")
	case action == "leave" && sess.CancelURL != "":
		redirect(w, withSession(sess.CancelURL, sess.ID))
	default:
		s.writePage(w, http.StatusBadRequest, sess, "That is not one of the buttons.")
	}
}

func (s Session) successURL() string {
	return withSession(s.SuccessURL, s.ID)
}

func withSession(address, id string) string {
	return strings.ReplaceAll(address, "{CHECKOUT_SESSION_ID}", id)
}

func redirect(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func noPage(w http.ResponseWriter) {
	http.Error(w, "There is no such Checkout Session (any more).", http.StatusNotFound)
}

func (s *Server) writePage(w http.ResponseWriter, status int, sess Session, message string) {
	v := pageView{
		Session: sess,
		Total:   formatAmount(sess.AmountTotal, sess.Currency),
		Debit:   s.opts.BankDebit && sess.AmountTotal > 0,
		Until:   sess.ExpiresAt.Format("2 January 2006, 15:04 MST"),
		Message: message,
	}
	for _, item := range sess.LineItems {
		v.Lines = append(v.Lines, pageLine{
			LineItem: item,
			Each:     formatAmount(item.UnitAmount, sess.Currency),
			Total:    formatAmount(item.UnitAmount*item.Quantity, sess.Currency),
		})
	}
	switch sess.Status {
	case Complete:
		v.Back = sess.successURL()
	case Expired:
		v.Back = withSession(sess.CancelURL, sess.ID)
	}
	var page strings.Builder
	if err := pageTemplate.Execute(&page, v); err != nil {
		panic(err) // a mistake in the template
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// form-action also covers the redirect after a form, to the shop.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self' http: https:; "+
		"base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page.String())) // the browser may have disconnected
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(pageCSS)
}
