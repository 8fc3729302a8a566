package stripetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// deliverFor is how long after an event Run retries its delivery, as Stripe does.
	deliverFor = 3 * 24 * time.Hour
	// maxInFlight keeps a receiver that hangs from delaying other events for long.
	maxInFlight = 16
)

var defaultBackoff = []time.Duration{
	200 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second,
	time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour,
}

// Run delivers events and expires sessions until ctx ends; then it cancels and awaits
// deliveries in flight and returns nil. A delivery without a 2xx is repeated after a
// pause, newly signed, for three days. Run returns an error if it is already running, and
// can be started again after it returned.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return errors.New("stripetest: Run is already running")
	}
	s.running = true
	s.mu.Unlock()

	var deliveries sync.WaitGroup
	defer func() {
		deliveries.Wait()
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, pause, changed := s.takeDue()
		for _, e := range due {
			deliveries.Go(func() { s.deliver(ctx, e) })
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
	}
	return nil
}

// takeDue also returns the pause until the next delivery, and a channel that is closed on
// an earlier change.
func (s *Server) takeDue() (due []*shipment, pause time.Duration, changed <-chan struct{}) {
	s.lock()
	defer s.mu.Unlock()
	now := s.now()
	pause = s.lookAgain
	for _, e := range s.pending {
		switch {
		case e.inFlight:
		case e.due.After(now):
			pause = min(pause, e.due.Sub(now))
		case s.inFlight < maxInFlight:
			e.inFlight, e.began, e.at = true, now, now.Add(-s.advanced)
			s.inFlight++
			due = append(due, e)
		}
	}
	// A clock that stands still must not cause a busy loop.
	return due, max(pause, time.Millisecond), s.changed
}

// A copy of an event that was delivered meanwhile is not sent.
func (s *Server) deliver(ctx context.Context, e *shipment) {
	a := s.post(ctx, e.Payload, e.at)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.inFlight = false
	s.inFlight--
	over := a.OK() || e.Delivered
	if !over {
		// From its beginning: Advance may move the clock while it is under way.
		e.due = e.began.Add(s.opts.Backoff[min(e.failures, len(s.opts.Backoff)-1)])
		e.failures++
		e.GivenUp = s.now().Sub(e.CreatedAt) >= deliverFor
		over = e.GivenUp
		s.log.WarnContext(ctx, "stripetest: event not delivered", "event", e.ID, "type", e.Type,
			"status", a.Status, "error", a.Error, "attempt", e.failures, "given_up", e.GivenUp)
	}
	if over {
		s.pending = slices.DeleteFunc(s.pending, func(one *shipment) bool { return one == e })
	}
	s.record(e.event, a)
}

// Callers hold s.mu.
func (s *Server) record(e *event, a Attempt) {
	e.Attempts = append(e.Attempts, a)
	e.Delivered = e.Delivered || a.OK()
	s.wake()
}

// The signature carries at, the unadvanced time, see Advance.
func (s *Server) post(ctx context.Context, payload []byte, at time.Time) Attempt {
	status, err := func() (int, error) {
		ctx, cancel := context.WithTimeout(ctx, s.opts.DeliveryTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.WebhookURL, bytes.NewReader(payload))
		if err != nil {
			return 0, fmt.Errorf("build the request: %w", err)
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
		req.Header.Set("Stripe-Signature", Sign(payload, s.opts.WebhookSecret, at))
		resp, err := s.client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // only the status matters
		return resp.StatusCode, nil
	}()
	a := Attempt{At: at.UTC(), Status: status}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// deliveryClient follows no redirects, ignores proxy settings, and uses a connection
// once, so that no delivery fails on one closed while idle.
func deliveryClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Sign returns a Stripe-Signature header, t=<seconds>,v1=<hex HMAC-SHA256 of
// "t.payload">, for payloads of a test's own.
func Sign(payload []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(payload)
	return fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac.Sum(nil))
}

// shipment is a delivery that Run repeats until it is answered.
type shipment struct {
	*event
	due      time.Time // of the next attempt
	began    time.Time // of the last attempt
	at       time.Time // began, unadvanced
	failures int       // attempts that failed
	inFlight bool      // an attempt is being made
}

// Callers hold s.mu.
func (s *Server) plan(e *event) {
	if s.opts.WebhookURL == "" {
		return
	}
	if e.Held = s.holding; e.Held {
		s.held = append(s.held, e)
		return
	}
	delays := []time.Duration{0}
	if s.opts.Deliver != nil {
		delays = s.opts.Deliver(e.snapshot())
	}
	e.Lost = len(delays) == 0
	e.late = !e.Lost && slices.Min(delays) > 0
	for _, delay := range delays {
		s.pending = append(s.pending, &shipment{event: e, due: s.now().Add(delay)})
	}
}

// HoldDelivery holds the webhooks of new events until ReleaseDelivery; Pay does not wait
// for them. Without a webhook URL it does nothing.
func (s *Server) HoldDelivery() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// ReleaseDelivery delivers the held events one at a time and returns the attempts. order
// gets them oldest first, and may reorder, repeat, add older ones or drop some, which are
// then lost (Event.Lost); nil sends all as they are. Run repeats failed deliveries.
// Events that occur meanwhile are delivered normally afterwards.
//
// It returns ErrNotFound for an unknown event, before anything is sent; an error without
// a webhook URL or while another call is running; or the context's error with the
// attempts.
func (s *Server) ReleaseDelivery(ctx context.Context, order func([]Event) []Event) ([]Attempt, error) {
	chosen, end, err := s.beginRelease(order)
	if err != nil {
		return nil, err
	}
	defer end()
	attempts := make([]Attempt, len(chosen))
	for i, e := range chosen {
		attempts[i] = s.post(ctx, e.Payload, s.opts.Now())
		s.mu.Lock()
		s.record(e, attempts[i])
		s.mu.Unlock()
	}
	return attempts, context.Cause(ctx)
}

func (s *Server) beginRelease(order func([]Event) []Event) (chosen []*event, end func(), err error) {
	if s.opts.WebhookURL == "" {
		return nil, nil, errors.New("stripetest: release: no webhook URL")
	}
	s.mu.Lock()
	if s.releasing {
		s.mu.Unlock()
		return nil, nil, errors.New("stripetest: release: another one is running")
	}
	s.releasing = true
	n := len(s.held)
	events := make([]Event, n)
	for i, e := range s.held {
		events[i] = e.snapshot()
	}
	s.mu.Unlock()

	// order may call the Server, and may panic.
	defer func() {
		if end == nil {
			s.mu.Lock()
			s.releasing = false
			s.mu.Unlock()
		}
	}()
	if order != nil {
		events = order(events)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range events {
		e := s.find(ev.ID)
		if e == nil {
			return nil, nil, fmt.Errorf("%w: event %s", ErrNotFound, ev.ID)
		}
		chosen = append(chosen, e)
	}
	return chosen, func() { s.endRelease(n, chosen) }, nil
}

// endRelease leaves failed deliveries of the first n held events to Run, marks those
// dropped as lost, and schedules the later ones.
func (s *Server) endRelease(n int, chosen []*event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	released, later := s.held[:n], s.held[n:]
	s.held, s.holding, s.releasing = nil, false, false
	for _, e := range released {
		e.Held = false
		e.Lost = !slices.Contains(chosen, e)
		if !e.Lost && !e.Delivered {
			s.pending = append(s.pending, &shipment{event: e, due: s.now().Add(s.opts.Backoff[0]), failures: 1})
		}
	}
	for _, e := range later {
		s.plan(e)
	}
	s.wake()
}
