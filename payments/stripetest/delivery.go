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
	// deliverFor is how long after an event Run goes on sending it, as Stripe does.
	deliverFor = 3 * 24 * time.Hour
	// maxFlying bounds the deliveries on their way at once, so that one receiver
	// that hangs does not hold the other events up.
	maxFlying = 16
)

var defaultBackoff = []time.Duration{
	200 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second,
	time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour,
}

// Run delivers events to the webhook URL and expires sessions whose time has
// come, until the context ends; then it returns nil, after the deliveries that
// were on their way have been cut off. A delivery that is not answered with a
// 2xx is made again after a pause, with a fresh timestamp and signature, for
// three days. Run fails when it is at work already; it may be started again
// after it ended, and goes on where it was.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return errors.New("stripetest: Run is already at work")
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

// takeDue returns the events to be sent now, how long the next one waits at
// most, and what tells of changes earlier than that.
func (s *Server) takeDue() (due []*shipment, pause time.Duration, changed <-chan struct{}) {
	s.lock()
	defer s.mu.Unlock()
	now := s.now()
	pause = s.lookAgain
	for _, e := range s.pending {
		switch {
		case e.flying:
		case e.due.After(now):
			pause = min(pause, e.due.Sub(now))
		case s.flying < maxFlying:
			e.flying = true
			s.flying++
			due = append(due, e)
		}
	}
	// A clock that stands still must not keep a processor busy.
	return due, max(pause, time.Millisecond), s.changed
}

// deliver makes one of Run's attempts and plans the next one. A copy of what has
// been delivered otherwise is not made again.
func (s *Server) deliver(ctx context.Context, e *shipment) {
	a := s.post(ctx, e.Payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.flying = false
	s.flying--
	over := a.OK() || e.Delivered
	if !over {
		e.due = s.now().Add(s.opts.Backoff[min(e.failures, len(s.opts.Backoff)-1)])
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

// record notes an attempt. Callers hold s.mu.
func (s *Server) record(e *event, a Attempt) {
	e.Attempts = append(e.Attempts, a)
	e.Delivered = e.Delivered || a.OK()
	s.wake()
}

// post sends a payload to the webhook URL, signed now. Signatures carry the
// unadvanced time, see Advance.
func (s *Server) post(ctx context.Context, payload []byte) Attempt {
	now := s.opts.Now()
	status, err := func() (int, error) {
		ctx, cancel := context.WithTimeout(ctx, s.opts.DeliveryTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.WebhookURL, bytes.NewReader(payload))
		if err != nil {
			return 0, fmt.Errorf("build the request: %w", err)
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
		req.Header.Set("Stripe-Signature", Sign(payload, s.opts.WebhookSecret, now))
		resp, err := s.client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // the status has been heard
		return resp.StatusCode, nil
	}()
	a := Attempt{At: now.UTC(), Status: status}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// deliveryClient follows no redirects and no proxy settings of the environment,
// and uses a connection once: a delivery never fails because an earlier one's
// connection has been closed meanwhile.
func deliveryClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Sign returns a Stripe-Signature header for a payload, as Stripe makes it from
// the webhook's secret at a moment: t=<seconds>,v1=<hex HMAC-SHA256 of "t.payload">.
// Tests use it to send payloads of their own.
func Sign(payload []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(payload)
	return fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac.Sum(nil))
}

// shipment is one delivery of an event that Run has still to make, again and
// again until it is answered.
type shipment struct {
	*event
	due      time.Time // of the next attempt
	failures int       // attempts that failed
	flying   bool      // an attempt is on its way
}

// plan has an event delivered: held back, at once, or as Options.Deliver says.
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
